#!/bin/sh
# Runs the adapter that make has put beside this. Buffers are not checked twice, as Aeron's
# own benchmarks run; its parts look into the JDK, which has to be allowed.
here=$(dirname "$0")
exec java --add-opens=java.base/jdk.internal.misc=ALL-UNNAMED -XX:+UseSerialGC -XX:-UsePerfData \
  -Dagrona.disable.bounds.checks=true -cp "$here/aeron.classes:$here/aeron.jars/*" AeronRival "$@"

package main

import (
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/shmd/shmd/daemon"
)

// configuration is how a daemon is told to run, and from where it can be told anew.
type configuration struct {
	app    *app
	given  *pflag.FlagSet // the flags, as they were given
	level  *slog.LevelVar // of the log
	config daemon.Config  // that holds
	flags  *serveFlags    // it was made of
}

// configure reads flags and file.
func configure(a *app, given *pflag.FlagSet, socket string) (*configuration, error) {
	c := &configuration{app: a, given: given, level: &slog.LevelVar{}}
	var err error
	if c.flags, err = readServe(given, socket); err != nil {
		return nil, err
	}
	if c.config, err = c.flags.complete(a, socket, c.level); err != nil {
		return nil, err
	}
	return c, c.config.Check()
}

// reload reads the file again, and has the server go by it. What is wrong changes nothing.
func (c *configuration) reload(server *daemon.Server) {
	log := c.config.Logger
	tell(reloading(), log)
	defer tell(ready, log)
	flags, err := readServe(c.given, c.config.Socket)
	var config daemon.Config
	level := &slog.LevelVar{}
	if err == nil {
		config, err = flags.complete(c.app, c.config.Socket, level)
	}
	if err == nil {
		err = server.Reload(config)
	}
	if err != nil {
		for _, each := range eachError(err) {
			log.Error("the configuration is not changed", "error", each)
		}
		return
	}
	if flags.logJSON != c.flags.logJSON {
		log.Warn("restart the daemon to change this", "setting", "log.json")
	}
	limitHeap(config.MemoryBytes)
	c.level.Set(level.Level())
	config.Logger, config.Listener = log, c.config.Listener
	c.config, c.flags = config, flags
	log.Info("configuration read again", "file", flags.file)
}

// eachError takes joined errors apart.
func eachError(err error) []error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return several.Unwrap()
	}
	return []error{err}
}

// show writes what holds, as a configuration file, and says from where.
func (c *configuration) show() error {
	for i := range settings {
		for _, v := range c.flags.values(&settings[i]) {
			if c.app.json {
				if err := c.app.emit(document{{"key", v.key}, {"value", v.text}, {"from", v.from}}); err != nil {
					return err
				}
			} else if err := c.app.printf("%-40s # %s\n", v.key+" = "+v.text, v.from); err != nil {
				return err
			}
		}
	}
	return nil
}

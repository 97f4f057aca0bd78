// Package measure is what the programs that measure have in common: processes that are
// spoken to in lines, what the kernel says of them, what a series of measurements is
// reduced to, and the machine that numbers depend on.
package measure

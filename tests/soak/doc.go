// Package soak lets clients of all flavours do everything at random for as long as one
// likes, kills, stops and forks them, keeps the processors busy, and accounts exactly
// for what they did: `make soak SECONDS=600`.
//
// It goes in rounds. In each the clients work through scripts (tests/history) on all
// objects at once; most waits are without end. Then comes a lull: nobody gets new
// work, so that nothing happens but what those who still wait are waiting for. Who
// waits although what it waits for is there has lost its wake-up; who waits for what
// nobody will bring is relieved: a permit, a message, room. When all are at rest the
// auditors (*_audit_test.go) go through the records of the round: no two held a lock
// at once, every death in a lock was told, no permit, message or sum was lost or made
// up, and none was delivered twice without a reason. What a client did that was killed
// in the middle may or may not have happened; everything else is exact.
//
// The auditors, in turn, are shown books that they must complain about.
package soak

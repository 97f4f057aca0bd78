// Package linear checks that objects are linearizable under death: what real clients
// in several processes and languages saw, killed ones included, must be what one
// client could have seen who did the same operations one after the other, each at one
// moment between its call and its return. Porcupine searches for such an order; a
// model of the kind says what may follow what (mutex_test.go and the like).
//
// What a client was doing when it was killed has an unknown outcome: in the model it
// leads to several states, one of them the state before.
//
// A recovery is an operation too, of a client that nobody is: called when the SIGKILL
// was sent, returned when the daemon was seen to have forgotten the client. At one
// moment in between everything that the dead held in the object comes back. So a
// history tells a recovery that does too little, too much, twice, or too late; were
// it part of the nondeterminism of the others, a permit that comes back never would
// look like one that comes back later. What the dead had in flight has no effect
// after its recovery, however late the checker puts it.
//
// Every model is shown histories that it must refuse (broken_test.go).
package linear

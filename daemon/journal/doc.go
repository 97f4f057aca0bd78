// Package journal is what a daemon must know to go on after its own death: the
// objects, the clients, who sits where. It is a sequence of records in a memfd that
// only the daemon has mapped and the keeper holds.
//
// # Format
//
// A page of header, then records, each 8-aligned: a word, of which the low half is the
// length of the payload and the high half its CRC-32C; then the payload, an op and
// MessagePack. The memory behind the last record is zero, and the word is stored last,
// in one store: so whatever instruction the daemon dies at, what is there is a sequence
// of whole records. Replay of each prefix is a state that a daemon can go on from.
//
// # Trust
//
// Payloads have no field names, so the header names the records' types: a build with others
// refuses the journal, and leaves it to the build that wrote it.
//
// Nobody but the daemon's uid can reach the memory. It is checked all the same: a word
// that leads outside, a payload whose CRC differs, and a record that contradicts what
// came before are status.Corrupt, and nothing is believed of a journal that has one: a
// seat that was forgotten would be given to somebody else while its client uses it.
//
// # Size
//
// A full journal is replaced by one that holds the state and room for three times as much
// again, so its size follows what there is. The old one counts until the keeper has the
// new. The writer keeps the state beside the journal: reading it back would take several
// times as long as writing it, while whoever creates something waits.
package journal

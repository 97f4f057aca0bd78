package adapter

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The first and the last word of a message are its number, which has the producer's index in
// the upper 16 bits. What is between is the same in each, or with Verify depends on the number.

const (
	wordBytes    = 8
	producerBits = 16
	countBits    = 64 - producerBits
)

// Any is the number of a message that may have any.
const Any = ^uint64(0)

func wordAt(message []byte, j int) uint64 {
	return binary.LittleEndian.Uint64(message[j*wordBytes:])
}

func setWord(message []byte, j int, word uint64) {
	binary.LittleEndian.PutUint64(message[j*wordBytes:], word)
}

// word is the j'th word of the message of that number.
func word(number uint64, j int) uint64 {
	return (number+1)*0x9e3779b97f4a7c15 + uint64(j)
}

// Number is that of the i'th message of this process.
func (r *Row) Number(i uint64) uint64 {
	return uint64(r.Index)<<countBits | i
}

// Expected is the number of the i'th message that a consumer of oneway takes: with one
// producer and one consumer each in turn.
func (r *Row) Expected(i uint64) uint64 {
	if r.Producers == 1 && r.Consumers == 1 {
		return i
	}
	return Any
}

// NewMessage returns memory for one message, as Number and Message want it.
func (r *Row) NewMessage() []byte {
	message := make([]byte, r.SizeBytes)
	for j := range r.SizeBytes / wordBytes {
		setWord(message, j, word(0, j))
	}
	return message
}

// Message makes message, which NewMessage made, the one of that number, for a system that
// copies it. It is small enough to be inlined.
func (r *Row) Message(message []byte, number uint64) []byte {
	if r.Verify {
		r.makeWhole(message, number)
		return message
	}
	setWord(message, 0, number)
	binary.LittleEndian.PutUint64(message[len(message)-wordBytes:], number)
	return message
}

func (r *Row) makeWhole(message []byte, number uint64) {
	words := len(message) / wordBytes
	for j := range words {
		setWord(message, j, word(number, j))
	}
	setWord(message, 0, number)
	setWord(message, words-1, number)
	r.sum += word(number, words)
}

// Writer writes messages where the system has them.
type Writer struct {
	row     *Row
	pattern []byte
}

// NewWriter returns a Writer.
func (r *Row) NewWriter() *Writer { return &Writer{r, r.NewMessage()} }

// Fill writes the message of that number: all of it, or with Touch unset its first word.
func (w *Writer) Fill(to []byte, number uint64) {
	switch {
	case w.row.Verify:
		w.row.makeWhole(to, number)
	case w.row.Touch:
		setWord(w.pattern, 0, number)
		setWord(w.pattern, len(w.pattern)/wordBytes-1, number)
		copy(to, w.pattern)
	default:
		setWord(to, 0, number)
	}
}

// Checker reads messages.
type Checker struct {
	row        *Row
	pattern    []byte         // a message, of which what is between is compared; nil = its sum
	patternSum uint64         // of the words without the first and the last
	last       map[int]uint64 // the last number of each producer, plus 1
}

// NewChecker returns a Checker.
func (r *Row) NewChecker() *Checker {
	c := &Checker{row: r, last: map[int]uint64{}}
	for j := 1; j+1 < r.SizeBytes/wordBytes; j++ {
		c.patternSum += word(0, j)
	}
	if r.SizeBytes <= comparedBytes {
		c.pattern = r.NewMessage()
	}
	return c
}

// comparedBytes: longer messages are added up. A sum in Go takes four times as long as one in
// C, which adds two words at once, unless it waits for memory; a comparison, which reads twice
// as much, is as fast.
const comparedBytes = 32 << 10

// isWhole reads every byte of a message of two words or more.
func (c *Checker) isWhole(message []byte, number uint64) bool {
	if c.pattern == nil {
		return sumOf(message) == c.patternSum+2*number
	}
	end := len(message) - wordBytes
	return binary.LittleEndian.Uint64(message[end:]) == number &&
		bytes.Equal(message[wordBytes:end], c.pattern[wordBytes:end])
}

// Check reads a message that shall have that number, or Any. With Verify, those of each
// producer come in their order, and the runner compares sums of both sides.
func (c *Checker) Check(message []byte, number uint64) error {
	if len(message) != c.row.SizeBytes {
		return fmt.Errorf("a message of %d bytes instead of %d", len(message), c.row.SizeBytes)
	}
	got := wordAt(message, 0)
	if number != Any && got != number {
		return fmt.Errorf("message %x instead of %x", got, number)
	}
	words := len(message) / wordBytes
	switch {
	case c.row.Verify:
		return c.checkWhole(message, got)
	case c.row.Touch && words > 1 && !c.isWhole(message, got):
		return fmt.Errorf("message %x is damaged", got)
	}
	return nil
}

func (c *Checker) checkWhole(message []byte, number uint64) error {
	words := len(message) / wordBytes
	if end := wordAt(message, words-1); end != number {
		return fmt.Errorf("message %x has the end of %x", number, end)
	}
	producer, i := int(number>>countBits), number&(1<<countBits-1)+1
	if i <= c.last[producer] {
		return fmt.Errorf("message %x came after a later one, or twice", number)
	}
	c.last[producer] = i
	for j := 1; j+1 < words; j++ {
		if wordAt(message, j) != word(number, j) {
			return fmt.Errorf("message %x is damaged in word %d", number, j)
		}
	}
	c.row.sum += word(number, words)
	return nil
}

// sumOf adds the words of a message, several at once where there are many.
func sumOf(message []byte) (sum uint64) {
	var a, b, c, d uint64
	for ; len(message) >= 4*wordBytes; message = message[4*wordBytes:] {
		a += binary.LittleEndian.Uint64(message[0:8])
		b += binary.LittleEndian.Uint64(message[8:16])
		c += binary.LittleEndian.Uint64(message[16:24])
		d += binary.LittleEndian.Uint64(message[24:32])
	}
	for ; len(message) > 0; message = message[wordBytes:] {
		sum += binary.LittleEndian.Uint64(message)
	}
	return sum + a + b + c + d
}

package journal

import (
	"encoding/binary"
	"hash/crc32"
	"sync/atomic"
	"unsafe"

	"github.com/shmd/shmd/status"
)

const (
	headerSize = 4096
	wordSize   = 8
	// payloadMax is far beyond the longest record.
	payloadMax = 1 << 20

	magic = 0x314c4e524a444d53 // "SMDJRNL1"
)

// Words of the header.
const (
	magicAt       = 0
	formatAt      = 8
	fingerprintAt = 16
	brokenAt      = 24 // not 0: records are missing
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// storeWord is the commit of whatever was written before.
func storeWord(mem []byte, at int, word uint64) {
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&mem[at : at+wordSize][0])), word)
}

func loadWord(mem []byte, at int) uint64 { return binary.LittleEndian.Uint64(mem[at:]) }

// frameSize is what a record with the payload takes.
func frameSize(payload int) int { return wordSize + (payload+wordSize-1)&^(wordSize-1) }

// writeFrame writes a record at an offset, all but the word that commits it.
func writeFrame(mem []byte, at int, payload []byte) (word uint64) {
	copy(mem[at+wordSize:], payload)
	return uint64(crc32.Checksum(payload, castagnoli))<<32 | uint64(len(payload))
}

// appendFrame writes a record at an offset and returns the next.
func appendFrame(mem []byte, at int, payload []byte) int {
	storeWord(mem, at, writeFrame(mem, at, payload))
	return at + frameSize(len(payload))
}

// frame reads the record at an offset; nil if there is none.
func frame(mem []byte, at int) (payload []byte, err error) {
	if at+wordSize > len(mem) {
		return nil, nil
	}
	word := loadWord(mem, at)
	if word == 0 {
		return nil, nil
	}
	length := int(uint32(word))
	if length == 0 || length > payloadMax || frameSize(length) > len(mem)-at {
		return nil, status.New(status.Corrupt, "replay", "the record at byte %d has %d bytes", at, length)
	}
	payload = mem[at+wordSize : at+wordSize+length]
	if crc32.Checksum(payload, castagnoli) != uint32(word>>32) {
		return nil, status.New(status.Corrupt, "replay", "the record at byte %d is damaged", at)
	}
	return payload, nil
}

// Replay reads a journal's memory. The errors are status.Version, if another build wrote
// it, and status.Corrupt.
func Replay(mem []byte, fingerprint uint64) (state *State, end int, err error) {
	switch {
	case len(mem) < headerSize || loadWord(mem, magicAt) != magic:
		return nil, 0, status.New(status.Corrupt, "replay", "it is no journal")
	case loadWord(mem, formatAt) != format || loadWord(mem, fingerprintAt) != fingerprint:
		return nil, 0, status.New(status.Version, "replay", "it has format %#x and layout %#x, this build %#x and %#x",
			loadWord(mem, formatAt), loadWord(mem, fingerprintAt), format, fingerprint)
	case loadWord(mem, brokenAt) != 0:
		return nil, 0, status.New(status.Corrupt, "replay", "records are missing: there was no memory for them")
	}
	state, at := NewState(), headerSize
	for {
		payload, err := frame(mem, at)
		if err != nil {
			return nil, 0, err
		}
		if payload == nil {
			return state, at, nil
		}
		record, err := decode(payload)
		if err == nil {
			err = state.Apply(record)
		}
		if err != nil {
			if status.Of(err) == status.Version {
				return nil, 0, err
			}
			return nil, 0, status.Wrap(status.Corrupt, "replay", err, "the record at byte %d", at)
		}
		at += frameSize(len(payload))
	}
}

// SPDX-License-Identifier: Apache-2.0
//! The Rust side of the protocol between shmd-rivals and its adapters, which ../../../doc.go describes: what rival.h is
//! for C. Arguments, `ready`, `go N`, `done`, samples, and messages whose bytes are checked. Operations are counted
//! from 0 over all `go`s.

use std::collections::HashMap;
use std::io::{BufRead, Write};

pub const ANY: u64 = u64::MAX;

/// What the runner asked for, and the messages of that.
pub struct Rival {
    pub workload: String,
    pub role: String,
    pub name: String,
    pub dir: String,
    pub samples: Option<String>,
    /// Of a message, which has so many words of 8 bytes.
    pub words: usize,
    pub batch: u64,
    pub index: u64,
    pub producers: usize,
    pub consumers: usize,
    pub processes: usize,
    pub verify: bool,
    pub touch: bool,
    pub spins: bool,
    /// This process makes the objects: it is index 0 of the first role.
    pub makes: bool,
    done: u64,
    /// Of what was put or taken in this `go`: both sides' must agree.
    sum: u64,
    pattern: Vec<u64>,
    pattern_sum: u64,
    last: HashMap<u64, u64>,
    samples_ns: Vec<u64>,
    sampled_ns: u64,
}

pub fn fail(what: &str) -> ! {
    eprintln!("iceoryx2: {what}");
    std::process::exit(1);
}

/// Instead of `ready`: the runner shows the reason.
pub fn unsupported(reason: &str) -> ! {
    println!("unsupported {reason}");
    std::process::exit(0);
}

pub trait Must<T> {
    fn must(self, what: &str) -> T;
}

impl<T, E: std::fmt::Debug> Must<T> for Result<T, E> {
    fn must(self, what: &str) -> T {
        self.unwrap_or_else(|error| fail(&format!("{what}: {error:?}")))
    }
}

pub fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: now is a timespec of this function's.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A word of a message that is checked whole.
fn word(number: u64, j: usize) -> u64 {
    number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(j as u64)
}

fn sum_of(words: &[u64]) -> u64 {
    words.iter().fold(0, |sum, word| sum.wrapping_add(*word))
}

impl Rival {
    pub fn new(arguments: &[String]) -> Rival {
        let keys: HashMap<&str, &str> = arguments[2..].iter().filter_map(|word| word.split_once('=')).collect();
        let text = |key: &str, otherwise: &'static str| keys.get(key).copied().unwrap_or(otherwise);
        let integer = |key: &str, otherwise: &'static str| -> u64 {
            text(key, otherwise).parse().unwrap_or_else(|_| fail(&format!("{key} is no number")))
        };
        let size_bytes = integer("size", "8") as usize;
        if size_bytes == 0 || size_bytes % 8 != 0 {
            fail(&format!("size={size_bytes} is no multiple of 8"));
        }
        let words = size_bytes / 8;
        let pattern: Vec<u64> = (0..words).map(|j| word(0, j)).collect();
        let role = arguments[1].clone();
        Rival {
            workload: arguments[0].clone(),
            name: text("name", "rival").to_string(),
            dir: text("dir", ".").to_string(),
            samples: keys.get("samples").map(|path| path.to_string()),
            words,
            batch: integer("batch", "1"),
            index: integer("index", "0"),
            producers: integer("producers", "1") as usize,
            consumers: integer("consumers", "1") as usize,
            processes: integer("processes", "1") as usize,
            verify: integer("verify", "0") != 0,
            touch: integer("touch", "1") != 0,
            spins: text("wait", "block") == "spin",
            makes: integer("index", "0") == 0 && !["pong", "take", "waiter"].contains(&role.as_str()),
            role,
            done: 0,
            sum: 0,
            pattern_sum: if words > 2 { sum_of(&pattern[1..words - 1]) } else { 0 },
            pattern,
            last: HashMap::new(),
            samples_ns: Vec::new(),
            sampled_ns: 0,
        }
    }

    /// How many messages a bounded queue shall hold.
    pub fn queue_max(&self) -> usize {
        match self.words * 8 {
            0..=4096 => 1024,
            4097..=65536 => 64,
            _ => 8,
        }
    }

    pub fn number(&self, i: u64) -> u64 {
        self.index << 48 | i
    }

    /// What a consumer of `oneway` expects: with one producer each message in turn.
    pub fn expected(&self, i: u64) -> u64 {
        if self.producers <= 1 && self.consumers <= 1 { i } else { ANY }
    }

    /// Writes a message where the system has it. The first and the last word are its number, which has the producer's
    /// index in the upper 16 bits. What is between is the same in each, or with verify depends on the number.
    #[inline]
    pub fn fill(&mut self, message: &mut [u64], number: u64) {
        let last = self.words - 1;
        if self.verify {
            for (j, to) in message.iter_mut().enumerate() {
                *to = word(number, j);
            }
            self.sum = self.sum.wrapping_add(word(number, self.words));
        } else if self.touch {
            message.copy_from_slice(&self.pattern);
        } else {
            message[0] = number;
            return;
        }
        message[0] = number;
        message[last] = number;
    }

    /// Reads a message that shall have that number, or ANY.
    #[inline]
    pub fn check(&mut self, message: &[u64], number: u64) {
        if message.len() != self.words {
            fail(&format!("a message of {} words instead of {}", message.len(), self.words));
        }
        let got = message[0];
        if number != ANY && got != number {
            fail(&format!("message {got:x} instead of {number:x}"));
        }
        if self.verify {
            self.check_whole(message, got);
        } else if self.touch && self.words > 1 {
            let sum = self.pattern_sum.wrapping_add(got.wrapping_mul(2));
            if sum_of(message) != sum {
                fail(&format!("message {got:x} is damaged"));
            }
        }
    }

    fn check_whole(&mut self, message: &[u64], got: u64) {
        let end = self.words - 1;
        if message[end] != got {
            fail(&format!("message {got:x} has another one's end"));
        }
        let i = (got & ((1 << 48) - 1)) + 1;
        let last = self.last.entry(got >> 48).or_insert(0);
        if i <= *last {
            fail(&format!("message {got:x} came after a later one, or twice"));
        }
        *last = i;
        for (j, found) in message.iter().enumerate().take(end).skip(1) {
            if *found != word(got, j) {
                fail(&format!("message {got:x} is damaged in word {j}"));
            }
        }
        self.sum = self.sum.wrapping_add(word(got, self.words));
    }

    /// Answers the runner's lines: turn(rival, i) is one operation.
    pub fn serve(&mut self, mut turn: impl FnMut(&mut Rival, u64)) {
        say("ready");
        for line in std::io::stdin().lock().lines() {
            let line = line.must("standard input");
            match line.strip_prefix("go ").and_then(|count| count.parse::<u64>().ok()) {
                Some(count) => self.go(count, &mut turn),
                None => fail(&format!("no command: {line}")),
            }
        }
    }

    fn go(&mut self, count: u64, turn: &mut impl FnMut(&mut Rival, u64)) {
        self.sum = 0;
        self.samples_ns.clear();
        let turns = self.done..self.done + count;
        let begin = now_ns();
        if self.samples.is_none() {
            for i in turns {
                turn(self, i);
            }
        } else {
            self.samples_ns.reserve(count as usize);
            self.sampled_ns = begin;
            for i in turns {
                turn(self, i);
                let now = now_ns();
                self.samples_ns.push(now - self.sampled_ns);
                self.sampled_ns = now;
            }
        }
        let end = now_ns();
        self.done += count;
        if let Some(path) = &self.samples {
            let bytes: Vec<u8> = self.samples_ns.iter().flat_map(|ns| ns.to_le_bytes()).collect();
            std::fs::write(path, bytes).must(path);
        }
        let sum = if self.verify { format!(" sum={}", self.sum) } else { String::new() };
        say(&format!("done {} begin={begin} end={end}{sum}", end - begin));
    }
}

pub fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().must("standard output");
}

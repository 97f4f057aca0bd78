// SPDX-License-Identifier: Apache-2.0
//! An adapter of shmd-rivals: iceoryx2. Messages are loaned, written in place and sent without a copy. Who spins asks
//! the subscriber again and again, which is how publish-subscribe is meant; who sleeps does so on an event beside it,
//! which the sender notifies of each message.

mod rival;

use iceoryx2::node::Node;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory as Channel;
use rival::{Must, Rival, unsupported};

type Words = [u64];

fn node(rival: &Rival) -> Node<ipc::Service> {
    let mut config = Config::default();
    let root = Path::new(rival.dir.as_bytes()).must("dir");
    config.global.set_root_path(&root);
    config.global.prefix = FileName::new(prefix(rival).as_bytes()).must("name");
    NodeBuilder::new()
        .config(&config)
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create::<ipc::Service>()
        .must("a node")
}

/// Messages one way: nothing is lost when the receiver is slow, and as many fit as in any other queue.
fn channel(rival: &Rival, node: &Node<ipc::Service>, name: &str) -> Channel<ipc::Service, Words, ()> {
    node.service_builder(&ServiceName::new(name).must("name"))
        .publish_subscribe::<Words>()
        .enable_safe_overflow(false)
        .history_size(0)
        .subscriber_max_buffer_size(rival.queue_max())
        .subscriber_max_borrowed_samples(1)
        .max_publishers(rival.producers.max(2))
        .max_subscribers(rival.processes.max(2))
        .max_nodes(rival.processes.max(rival.producers + rival.consumers) + 2)
        .open_or_create()
        .must("a service")
}

struct Sender {
    publisher: Publisher<ipc::Service, Words, ()>,
    notifier: Option<Notifier<ipc::Service>>,
}

impl Sender {
    fn new(rival: &Rival, node: &Node<ipc::Service>, name: &str) -> Sender {
        let publisher = channel(rival, node, name)
            .publisher_builder()
            .initial_max_slice_len(rival.words)
            .max_loaned_samples(1)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .must("a publisher");
        let notifier = (!rival.spins).then(|| event(rival, node, name).notifier_builder().create().must("a notifier"));
        Sender { publisher, notifier }
    }

    #[inline]
    fn send(&self, rival: &mut Rival, number: u64) {
        let mut loan = self.publisher.loan_slice_uninit(rival.words).must("a loan");
        // SAFETY: words of any value are words, and the payload is as long as was asked for. What fill leaves as
        // it is, a former message or zeros, is sent so on purpose: nothing of it was asked to be touched.
        let words =
            unsafe { std::slice::from_raw_parts_mut(loan.payload_mut().as_mut_ptr().cast::<u64>(), rival.words) };
        rival.fill(words, number);
        // SAFETY: as above.
        unsafe { loan.assume_init() }.send().must("send");
        if let Some(notifier) = &self.notifier {
            notifier.notify().must("notify");
        }
    }
}

struct Receiver {
    subscriber: Subscriber<ipc::Service, Words, ()>,
    listener: Option<Listener<ipc::Service>>,
}

impl Receiver {
    fn new(rival: &Rival, node: &Node<ipc::Service>, name: &str) -> Receiver {
        let subscriber = channel(rival, node, name).subscriber_builder().create().must("a subscriber");
        let listener = (!rival.spins).then(|| event(rival, node, name).listener_builder().create().must("a listener"));
        Receiver { subscriber, listener }
    }

    #[inline]
    fn receive(&self, rival: &mut Rival, number: u64) -> u64 {
        loop {
            if let Some(sample) = self.subscriber.receive().must("receive") {
                rival.check(sample.payload(), number);
                return sample.payload()[0];
            }
            match &self.listener {
                Some(listener) => _ = listener.blocking_wait(|_| ()).must("wait"),
                None => std::hint::spin_loop(),
            }
        }
    }
}

fn event(
    rival: &Rival,
    node: &Node<ipc::Service>,
    name: &str,
) -> iceoryx2::service::port_factory::event::PortFactory<ipc::Service> {
    node.service_builder(&ServiceName::new(name).must("name"))
        .event()
        .max_notifiers(rival.producers.max(2))
        .max_listeners(2)
        .max_nodes(rival.producers + rival.consumers + 2)
        .event_id_max_value(1)
        .open_or_create()
        .must("an event")
}

fn roundtrip(rival: &mut Rival) {
    let node = node(rival);
    let ping = rival.role == "ping";
    let (out, back) = if ping { ("there", "back") } else { ("back", "there") };
    let sender = Sender::new(rival, &node, out);
    let receiver = Receiver::new(rival, &node, back);
    if ping {
        rival.serve(|rival, i| {
            sender.send(rival, i);
            receiver.receive(rival, i);
        });
    } else {
        rival.serve(|rival, i| {
            let number = receiver.receive(rival, i);
            sender.send(rival, number);
        });
    }
}

fn oneway(rival: &mut Rival) {
    if rival.consumers > 1 {
        unsupported("every subscriber gets every message");
    }
    if rival.batch > 1 {
        unsupported("sends one message at a time");
    }
    let node = node(rival);
    if rival.role == "put" {
        let sender = Sender::new(rival, &node, "way");
        rival.serve(|rival, i| sender.send(rival, rival.number(i)));
    } else {
        let receiver = Receiver::new(rival, &node, "way");
        rival.serve(|rival, i| {
            receiver.receive(rival, rival.expected(i));
        });
    }
}

fn idle(rival: &mut Rival) {
    let node = node(rival);
    let _sender = Sender::new(rival, &node, "way");
    let receiver = Receiver::new(rival, &node, "way");
    rival.serve(|rival, _| {
        rival::say("waiting");
        receiver.receive(rival, rival::ANY);
    });
}

/// Opens the service and connects a subscriber to the publisher that is there.
fn attach(rival: &mut Rival) {
    let node = node(rival);
    let _sender = rival.makes.then(|| Sender::new(rival, &node, "way"));
    rival.serve(|rival, _| {
        drop(channel(rival, &node, "way").subscriber_builder().create().must("a subscriber"));
    });
}

/// Makes services with a publisher and a subscriber each.
fn memory(rival: &mut Rival) {
    let node = node(rival);
    let mut kept = Vec::new();
    rival.serve(|rival, i| {
        let name = format!("way-{i}");
        kept.push((Sender::new(rival, &node, &name), Receiver::new(rival, &node, &name)));
    });
}

/// A blackboard is written by one and read by many: here both in one process.
fn value(rival: &mut Rival) {
    if rival.processes > 1 {
        unsupported("a blackboard has one writer");
    }
    let node = node(rival);
    let board = node
        .service_builder(&ServiceName::new("board").must("name"))
        .blackboard_creator::<u64>()
        .add::<u64>(0, 0)
        .create()
        .must("a blackboard");
    let writer = board.writer_builder().create().must("a writer");
    let reader = board.reader_builder().create().must("a reader");
    let write = writer.entry::<u64>(&0).must("an entry");
    let read = reader.entry::<u64>(&0).must("an entry");
    rival.serve(|_, i| {
        write.update_with_copy(i);
        if *read.get() != i {
            rival::fail("a value that was not written was read");
        }
    });
}

fn main() {
    set_log_level(LogLevel::Error);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["describe"] {
        println!("iceoryx2 0.10.0, Rust: publish-subscribe with loans, an event to sleep on");
        return;
    }
    if arguments.len() < 2 {
        eprintln!("usage: iceoryx2 WORKLOAD ROLE KEY=VALUE..., or describe");
        std::process::exit(2);
    }
    let rival = &mut Rival::new(&arguments);
    match rival.workload.as_str() {
        "roundtrip" => roundtrip(rival),
        "oneway" => oneway(rival),
        "idle" => idle(rival),
        "attach" => attach(rival),
        "memory" => memory(rival),
        "value" => value(rival),
        _ => unsupported("has no such operation"),
    }
    remove_left_over(rival);
}

/// What iceoryx2 leaves in shared memory for the next node with this prefix, which never comes.
fn remove_left_over(rival: &Rival) {
    for entry in std::fs::read_dir("/dev/shm").must("/dev/shm").flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix(rival)) && name.ends_with(".global_mgmt") {
            // Another process may have been faster.
            _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Names in shared memory are made of this one and a hash of all that the service is.
fn prefix(rival: &Rival) -> String {
    format!("{}_", rival.name)
}

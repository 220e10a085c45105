//! Whatever happens, in whatever order: what must hold of every command, and that all comes right in the end.

use proptest::prelude::*;

use super::bird::Fate;
use super::configs::{ADDRESSES, BASES};
use super::world::World;
use super::*;

/// What may happen to a node.
#[derive(Debug, Clone)]
enum Step {
    WantBase(usize),
    Announce(u8),
    /// The NodeConfig cannot be read.
    WantNothing,
    /// It can, and no configuration comes of it.
    Unrenderable,
    /// BIRD answers one question.
    Answer,
    /// Everybody does what is due.
    Pass(u64),
    StopBird,
    StartBird,
    RefuseCheck(bool),
    RefuseConfigure(bool),
    Busy(bool),
    Sessions(usize, Fate),
    Drain(bool),
    RestartAgent,
    FullDisk(bool),
    /// Somebody configures BIRD by hand, with what is not flock's.
    Foreign,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![3 => Just(Fate::Up), 1 => Just(Fate::Down), 1 => Just(Fate::BadAs)];
    prop_oneof![
        4 => (0..BASES).prop_map(Step::WantBase),
        6 => (0..1_u8 << ADDRESSES).prop_map(Step::Announce),
        1 => Just(Step::WantNothing),
        1 => Just(Step::Unrenderable),
        12 => Just(Step::Answer),
        6 => (0..3_000_u64).prop_map(Step::Pass),
        1 => (3_000..70_000_u64).prop_map(Step::Pass),
        1 => Just(Step::StopBird),
        3 => Just(Step::StartBird),
        1 => any::<bool>().prop_map(Step::RefuseCheck),
        1 => any::<bool>().prop_map(Step::RefuseConfigure),
        1 => any::<bool>().prop_map(Step::Busy),
        3 => (0..BASES, fate).prop_map(|(number, fate)| Step::Sessions(number, fate)),
        1 => any::<bool>().prop_map(Step::Drain),
        1 => Just(Step::RestartAgent),
        1 => any::<bool>().prop_map(Step::FullDisk),
        1 => Just(Step::Foreign),
    ]
}

impl World {
    fn take(&mut self, step: &Step) {
        let (number, mask) = self.wanted.unwrap_or((0, self.announced));
        match *step {
            Step::WantBase(number) => self.want(Ok((number, mask))),
            Step::Announce(mask) if matches!(self.wanted, Err(Some(_))) => self.want(Err(Some(mask))),
            Step::Announce(mask) => self.want(Ok((number, mask))),
            Step::WantNothing => self.want(Err(None)),
            Step::Unrenderable => self.want(Err(Some(mask))),
            Step::Answer => drop(self.answer_one()),
            Step::Pass(milliseconds) => self.pass(Duration::from_millis(milliseconds)),
            Step::StopBird => self.stop_bird(),
            Step::StartBird => self.start_bird(),
            Step::RefuseCheck(refuses) => self.bird.refuses_check = refuses,
            Step::RefuseConfigure(refuses) => self.bird.refuses_configure = refuses,
            Step::Busy(is_busy) => self.bird.is_busy = is_busy,
            Step::Sessions(number, fate) => self.bird.fates[number] = fate,
            Step::Drain(is_draining) => self.drain(is_draining),
            Step::RestartAgent => self.restart_agent(),
            Step::FullDisk(is_full) => self.disk_is_full = is_full,
            Step::Foreign => self.bird.configure(None, None),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn every_command_is_right_and_all_comes_right_in_the_end(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        world.tell(Event::Tick);
        for step in &steps {
            world.take(step);
        }
        world.ensure_it_comes_right();
    }
}

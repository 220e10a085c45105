//! Anycast addresses come and go.

use std::net::IpAddr;

use super::*;
use flock_core::anycast::Cause;

const FIRST: &str = "2001:db8:53::1";
const SECOND: &str = "2001:db8:53::2";

fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// One pod at each address, since now.
fn announcement(texts: &[&str]) -> Announcement {
    let mut announcement = Announcement::default();
    announcement.announced.anycast =
        addresses(texts).into_iter().map(|address| (address, 1.try_into().unwrap())).collect();
    announcement.claimable = BTreeSet::from(["2001:db8:53::/64".parse().unwrap()]);
    let cause = Cause { text: "a pod".to_owned(), seen: std::time::Instant::now() };
    announcement.causes = addresses(&[FIRST, SECOND]).into_iter().map(|it| (it, cause.clone())).collect();
    announcement
}

impl Node {
    fn announce(&self, texts: &[&str]) {
        self.announced.send_replace(Arc::new(announcement(texts)));
    }

    /// What bird.conf would have a BIRD announce.
    fn of_file(&self) -> BTreeSet<IpAddr> {
        Base::read(&self.bird_conf()).map(|(_, routes)| routes.addresses().collect()).unwrap_or_default()
    }
}

impl FakeBird {
    fn announces(&self) -> BTreeSet<IpAddr> {
        self.script(|script| script.announced.last().map(|(_, set)| set.clone()).unwrap_or_default())
    }

    /// Waits until it announces these, and tells how long that took.
    async fn eventually_announces(&self, texts: &[&str]) -> Duration {
        let (desired, asked) = (addresses(texts), Instant::now());
        for _ in 0..400 {
            if self.announces() == desired {
                return asked.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{desired:?} are to be announced, and {:?} are: {:?}", self.announces(), self.commands())
    }

    /// Of the commands since the first `known`.
    fn commands_since(&self, known: usize) -> Vec<String> {
        self.commands().split_off(known)
    }

    fn asn(&self) -> Option<u32> {
        self.script(|script| script.asn)
    }
}

async fn eventually_of_file(node: &Node, texts: &[&str]) {
    for _ in 0..100 {
        if node.of_file() == addresses(texts) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("bird.conf still has {:?}", node.of_file())
}

/// A node whose BIRD runs its first configuration, with these addresses.
async fn up(script: Script, texts: &[&str]) -> (FakeBird, Node) {
    let dir = tempfile::tempdir().unwrap();
    let bird = bird(&dir, script);
    let mut node = Node::announcing(dir, announcement(texts));
    node.eventually(|status| applied(status) && status.peers[0].is_established()).await;
    bird.eventually_announces(texts).await;
    (bird, node)
}

/// The neighbour's other number is one whose session does not come up, for no reason that it says.
fn waiting() -> Script {
    let mut script = all_is_well();
    script.sessions.insert(65009, ("Active", ""));
    script
}

const PATIENCE: Duration = Duration::from_secs(20);

/// Less than the time for which changes are collected.
const AT_ONCE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn anycast_routes_are_updated_without_a_check_or_a_trial() {
    let (bird, mut node) = up(all_is_well(), &[]).await;
    let known = bird.commands().len();
    node.announce(&[FIRST]);
    bird.eventually_announces(&[FIRST]).await;
    node.announce(&[]);
    assert!(bird.eventually_announces(&[]).await < AT_ONCE);
    assert_eq!(bird.commands_since(known), ["configure", "configure"]);
    eventually_of_file(&node, &[]).await;
    // The file goes before BIRD's answer.
    let withdrawn = node.view.wait_for(|view| view.counters.anycast.withdrawn > 0);
    tokio::time::timeout(PATIENCE, withdrawn).await.unwrap().unwrap();
    let view = node.eventually(applied).await;
    assert_eq!((view.counters.applied, view.counters.refused), (1, 0));
    let AnycastCounters { announced, withdrawn, withdrawing } = view.counters.anycast;
    assert_eq!((announced, withdrawn, withdrawing.count()), (1, 1, 1));
    assert_eq!(view.anycast, BTreeMap::from([(Family::IPv6, 0), (Family::IPv4, 0)]));
    assert!(!node.dir.path().join("bird/updated.conf").exists());
}

#[tokio::test]
async fn additions_are_collected_and_a_withdrawal_overtakes_them() {
    let (bird, node) = up(all_is_well(), &[FIRST]).await;
    tokio::time::sleep(COALESCE).await;
    let known = bird.commands().len();
    for number in 2..=40 {
        let more: Vec<String> = (1..=number).map(|host| format!("2001:db8:53::{host:x}")).collect();
        node.announce(&more.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let collected = bird.commands_since(known).len();
    assert!((1..=2).contains(&collected), "{collected} configurations for 39 additions in 0.4 seconds");
    node.announce(&[SECOND]);
    assert!(bird.eventually_announces(&[SECOND]).await < AT_ONCE);
}

#[tokio::test]
async fn a_first_addition_does_not_wait() {
    let (bird, node) = up(all_is_well(), &[]).await;
    tokio::time::sleep(COALESCE).await;
    node.announce(&[FIRST]);
    assert!(bird.eventually_announces(&[FIRST]).await < AT_ONCE);
}

#[tokio::test]
async fn a_withdrawal_does_not_wait_for_a_trial_and_outlives_its_end() {
    let (bird, mut node) = up(waiting(), &[FIRST, SECOND]).await;
    node.desired.send_replace(desired(65009));
    node.eventually(|status| matches!(status.config, ConfigStatus::OnTrial { .. })).await;
    let known = bird.commands().len();
    node.announce(&[SECOND]);
    assert!(bird.eventually_announces(&[SECOND]).await < AT_ONCE);
    assert_eq!((bird.asn(), bird.commands_since(known)), (Some(65009), vec!["configure".to_owned()]));
    eventually_of_file(&node, &[SECOND]).await;
    assert!(node.bird_conf().contains("as 65000"), "bird.conf is the last good one all the same");
    bird.script(|script| script.sessions.insert(65009, ("Idle", "Bad peer AS: 65000")));
    node.eventually(|status| matches!(status.config, ConfigStatus::RolledBack { .. })).await;
    assert_eq!((bird.asn(), bird.announces()), (Some(65000), addresses(&[SECOND])));
    let since = bird.script(|script| {
        let withdrawn = script
            .announced
            .iter()
            .rposition(|(_, set)| set.contains(&addresses(&[FIRST]).pop_first().unwrap()));
        script.announced.len() - withdrawn.unwrap()
    });
    assert!(since > 2, "it was withdrawn once and for all");
}

#[tokio::test]
async fn a_trial_that_ends_well_keeps_the_routes_of_the_day() {
    let (bird, mut node) = up(waiting(), &[FIRST]).await;
    node.desired.send_replace(desired(65009));
    node.eventually(|status| matches!(status.config, ConfigStatus::OnTrial { .. })).await;
    node.announce(&[SECOND]);
    bird.eventually_announces(&[SECOND]).await;
    bird.script(|script| script.sessions.insert(65009, ("Established", "")));
    let view = node.eventually(applied).await;
    assert_eq!(view.counters.applied, 2);
    assert!(node.bird_conf().contains("as 65009"));
    assert_eq!((bird.announces(), node.of_file()), (addresses(&[SECOND]), addresses(&[SECOND])));
}

#[tokio::test]
async fn a_base_that_was_taken_back_stays_so_whatever_is_announced() {
    let (bird, mut node) = up(waiting(), &[FIRST]).await;
    bird.script(|script| script.sessions.insert(65009, ("Idle", "Bad peer AS: 65000")));
    node.desired.send_replace(desired(65009));
    node.eventually(|status| matches!(status.config, ConfigStatus::RolledBack { .. })).await;
    let known = bird.commands().len();
    node.announce(&[SECOND]);
    bird.eventually_announces(&[SECOND]).await;
    node.announce(&[FIRST, SECOND]);
    bird.eventually_announces(&[FIRST, SECOND]).await;
    let view = node.eventually(|status| matches!(status.config, ConfigStatus::RolledBack { .. })).await;
    assert_eq!((bird.asn(), view.counters.rolled_back), (Some(65000), 1));
    assert_eq!(bird.commands_since(known), ["configure", "configure"]);
}

#[tokio::test]
async fn a_restarted_agent_only_tells_what_is_different() {
    let (bird, node) = up(all_is_well(), &[FIRST, SECOND]).await;
    eventually_of_file(&node, &[FIRST, SECOND]).await;
    let known = bird.commands().len();
    let mut node = Node::announcing(node.die(), announcement(&[SECOND]));
    node.eventually(applied).await;
    bird.eventually_announces(&[SECOND]).await;
    assert_eq!(bird.commands_since(known), ["configure"]);
    let view = node.eventually(|_| true).await;
    assert_eq!((view.counters.applied, view.counters.anycast.withdrawn), (0, 1));
}

#[tokio::test]
async fn an_agent_that_died_during_a_trial_has_what_was_good_brought_back() {
    let (bird, mut node) = up(waiting(), &[FIRST, SECOND]).await;
    node.desired.send_replace(desired(65009));
    node.eventually(|status| matches!(status.config, ConfigStatus::OnTrial { .. })).await;
    node.announce(&[SECOND]);
    bird.eventually_announces(&[SECOND]).await;
    eventually_of_file(&node, &[SECOND]).await;
    let known = bird.commands().len();
    let mut node = Node::announcing(node.die(), announcement(&[SECOND]));
    node.eventually(applied).await;
    assert_eq!((bird.asn(), bird.announces()), (Some(65000), addresses(&[SECOND])));
    assert_eq!(bird.commands_since(known), ["configure"]);
}

/// The BIRD that comes back may be one that is started with bird.conf.
#[tokio::test]
async fn what_is_withdrawn_while_bird_is_away_is_not_in_its_file_any_more() {
    let (bird, mut node) = up(all_is_well(), &[FIRST, SECOND]).await;
    bird.script(|script| script.nonsense = true);
    node.eventually(|status| matches!(status.bird, BirdStatus::Away(_))).await;
    node.announce(&[SECOND]);
    eventually_of_file(&node, &[SECOND]).await;
    let conf = node.bird_conf();
    bird.script(|script| {
        script.nonsense = false;
        script.run(conf);
    });
    let known = bird.commands().len();
    let view = node.eventually(applied).await;
    assert_eq!(view.counters.anycast.withdrawn, 1);
    assert_eq!(bird.commands_since(known), Vec::<String>::new());
}

#[tokio::test]
async fn without_bgp_nothing_is_announced() {
    let (bird, mut node) = up(all_is_well(), &[FIRST]).await;
    let mut silent = NodePlan::clone(desired(65000).node.as_ref().unwrap());
    silent.bgp = None;
    node.desired.send_replace(Arc::new(Desired { node: Some(Arc::new(silent)), ..Desired::default() }));
    node.eventually(|status| matches!(status.config, ConfigStatus::None)).await;
    assert!(bird.eventually_announces(&[]).await < AT_ONCE);
    eventually_of_file(&node, &[]).await;
}

#[tokio::test]
async fn routes_that_bird_does_not_take_are_told_of_and_told_again() {
    let (bird, mut node) = up(all_is_well(), &[FIRST, SECOND]).await;
    bird.script(|script| script.objection_to_amendments = Some("no".to_owned()));
    let known = bird.commands().len();
    node.announce(&[SECOND]);
    let view = node.eventually(|status| matches!(status.config, ConfigStatus::Refused { .. })).await;
    assert_eq!(view.status.config, ConfigStatus::Refused { reason: "BIRD does not take it: no".to_owned() });
    assert_eq!(bird.commands_since(known), ["configure"]);
    eventually_of_file(&node, &[SECOND]).await;
    bird.script(|script| script.objection_to_amendments = None);
    node.eventually(applied).await;
    assert_eq!(bird.announces(), addresses(&[SECOND]));
}

/// It would enable again what a drain has disabled.
#[tokio::test]
async fn a_bird_that_is_being_stopped_is_told_nothing_but_its_file_is_kept_in_step() {
    let (bird, node) = up(all_is_well(), &[FIRST, SECOND]).await;
    let known = bird.commands().len();
    std::fs::write(Marker::within(node.dir.path()).path(), "drain\n").unwrap();
    node.announce(&[SECOND]);
    eventually_of_file(&node, &[SECOND]).await;
    tokio::time::sleep(COALESCE).await;
    assert_eq!(bird.commands_since(known), Vec::<String>::new());
}

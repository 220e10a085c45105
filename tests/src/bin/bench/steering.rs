//! Steering established connections: what the change of one pod costs, by netlink and as text for nft.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flock_core::nft::{Batch, Name, TableId, delta};
use flock_core::prefix::PodAddresses;
use flock_core::steering::{FlowSlot, SteeredPod, Steering, table, table_id};
use flock_kernel::linux::LinuxKernel;
use flock_kernel::{Firewall, KernelError};
use flock_tests::{Netns, World};

use crate::sample::{Row, Sample};

/// On the node, with anycast addresses.
const PODS: u16 = 250;
/// A pod that comes, and goes again.
const CHANGES: usize = 200;

pub(crate) fn measure(world: &World) -> Result<Vec<Row>> {
    let netns = world.netns("steering")?;
    let (without, with) = (steering(1..=PODS)?, steering(1..=PODS + 1)?);
    let netlink = by_netlink(&netns, &without, &with)?;
    let text = by_text(&netns, &without, &with)?;
    let ratio = text.percentile(50).as_secs_f64() / netlink.percentile(50).as_secs_f64();
    Ok(vec![
        Row::new(
            format!(
                "flock: one of {PODS} steered pods comes or goes, nftables by netlink, asked to answered"
            ),
            netlink.summary_in_micros(),
            Some(("p50 < 1 ms".to_owned(), netlink.percentile(50) < Duration::from_millis(1))),
        ),
        Row::new("`nft -f -`: the same change as text".to_owned(), text.summary_in_micros(), None),
        Row::new("steering: ratio of p50, nft to netlink".to_owned(), format!("{ratio:.0}"), None),
    ])
}

fn steering(slots: impl Iterator<Item = u16>) -> Result<Steering> {
    let pod = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let addresses = PodAddresses {
            v6: Some(format!("2001:db8:a:1::{number:x}").parse()?),
            v4: Some([10, 0, high, low].into()),
        };
        let anycast = ["2001:db8:53::1".parse()?, "198.51.100.53".parse()?].into();
        let pod = SteeredPod { link: format!("flock{number:08x}").parse()?, addresses, anycast };
        Ok((FlowSlot::try_from(number)?, pod))
    };
    Ok(Steering { pods: slots.map(pod).collect::<Result<_>>()? })
}

fn by_netlink(netns: &Netns, without: &Steering, with: &Steering) -> Result<Sample> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let kernel = netns.enter(|| runtime.block_on(async { LinuxKernel::open() }))??;
    let [without, with] = [without, with].map(table);
    runtime
        .block_on(async {
            kernel.replace_table(&table_id(), without.as_ref()).await?;
            let mut sample = Sample::default();
            for number in 0..CHANGES {
                let desired = if number % 2 == 0 { &with } else { &without };
                let start = Instant::now();
                kernel.replace_table(&table_id(), desired.as_ref()).await?;
                sample.push(start.elapsed());
            }
            kernel.replace_table(&table_id(), None).await?;
            Ok::<_, KernelError>(sample)
        })
        .map_err(Into::into)
}

/// In a table of its own, so that nothing of it is flock's.
fn by_text(netns: &Netns, without: &Steering, with: &Steering) -> Result<Sample> {
    let id = TableId { name: Name::from("bench"), ..table_id() };
    let [without, with] = [without, with].map(table);
    let text = |old, new| delta(&id, old, new).to_string();
    let (come, go) = (text(without.as_ref(), with.as_ref()), text(with.as_ref(), without.as_ref()));
    let whole: Batch = delta(&id, None, without.as_ref());
    netns.enter(|| {
        nft(&whole.to_string())?;
        let mut sample = Sample::default();
        for number in 0..CHANGES {
            let change = if number % 2 == 0 { &come } else { &go };
            let start = Instant::now();
            nft(change)?;
            sample.push(start.elapsed());
        }
        Ok(sample)
    })?
}

fn nft(text: &str) -> Result<()> {
    let mut command = Command::new("nft");
    let mut child = command
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("start `nft`; if it is not there: apt-get install nftables")?;
    child.stdin.take().context("no pipe")?.write_all(text.as_bytes())?;
    ensure!(child.wait()?.success(), "nft refuses:\n{text}");
    Ok(())
}

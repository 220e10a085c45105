//! A whole cluster.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use flock_tests::{World, eventually, leaks};

use crate::control::ControlPlane;
use crate::fabric::{self, Fabric};
use crate::guard;
use crate::kubectl::{Kubectl, PATIENCE};
use crate::member::Member;
use crate::network;
use crate::pki::Authority;
use crate::plan::Plan;
use crate::programs::Programs;

/// What all parts of a cluster know.
#[derive(Debug)]
pub struct Site {
    /// The programs.
    pub programs: Programs,
    /// What the cluster shall be.
    pub plan: Plan,
    /// Who signs its certificates.
    pub authority: Authority,
    /// What all of its names begin with.
    pub prefix: String,
    /// Its files.
    pub dir: PathBuf,
}

impl Site {
    /// The API server's URL, for nodes and pods.
    pub fn server(&self) -> String {
        let address = fabric::port(fabric::CONTROL).node(self.plan.primary.any());
        if address.contains(':') {
            format!("https://[{address}]:6443")
        } else {
            format!("https://{address}:6443")
        }
    }
}

/// A running cluster. The fields are dropped in this order; [`Cluster::close`] proves that nothing stays behind.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes.
    pub members: Vec<Member>,
    /// The control plane.
    pub control: ControlPlane,
    /// The router, and the client behind it.
    pub fabric: Fabric,
    /// What took how long to come up, counted from the beginning.
    pub times: Vec<(String, Duration)>,
    site: Arc<Site>,
    world: World,
}

impl Cluster {
    /// Brings a cluster up and waits until all of its nodes are ready. `harness` is this crate's own program.
    ///
    /// # Errors
    /// When a part of it does not come up; nothing of it stays.
    pub fn up(plan: Plan, harness: &Path) -> Result<Self> {
        ensure!((1..=9).contains(&plan.runtimes.len()), "a cluster has from 1 to 9 nodes");
        let programs = Programs::find(harness)?;
        leaks::sweep_dead_runs();
        guard::post(&programs)?;
        let world = World::new()?;
        let prefix = world.prefix().to_owned();
        let up = Self::begin(plan, programs, world).and_then(|mut cluster| match cluster.rise() {
            Ok(()) => Ok(cluster),
            Err(error) => Err(anyhow!("{error:#}\n{}", cluster.diagnosis())),
        });
        up.inspect_err(|_| leaks::remove_all(&prefix))
    }

    /// Everything that a cluster is made of, nothing of it running but the router.
    fn begin(plan: Plan, programs: Programs, world: World) -> Result<Self> {
        let dir = world.dir().to_owned();
        let authority = Authority::new(&dir.join("pki"))?;
        let site = Arc::new(Site { programs, plan, authority, prefix: world.prefix().to_owned(), dir });
        let numbered: Vec<_> = (1..).zip(site.plan.runtimes.iter().copied()).collect();
        let fabric = Fabric::new(&world, u8::try_from(numbered.len())?)?;
        let control = ControlPlane::new(&site, world.machine("control")?, &fabric)?;
        let members = numbered.into_iter().map(|(number, runtime)| Member::new(&site, number, runtime));
        let members = members.collect::<Result<_>>()?;
        Ok(Self { members, control, fabric, times: Vec::new(), site, world })
    }

    fn rise(&mut self) -> Result<()> {
        let begin = Instant::now();
        let Self { members, control, fabric, times, site, .. } = self;
        let mut note = |what: &str| times.push((what.to_owned(), begin.elapsed()));
        thread::scope(|scope| {
            let fabric = &*fabric;
            let nodes: Vec<_> =
                members.iter_mut().map(|member| scope.spawn(move || member.power_on(fabric))).collect();
            control.start_etcd()?;
            note("etcd answers");
            control.start_api_server()?;
            note("API server is ready");
            control.start_controller_manager()?;
            control.start_scheduler()?;
            nodes
                .into_iter()
                .try_for_each(|node| node.join().map_err(|_| anyhow!("a node's thread panicked"))?)
        })?;
        note("containerd answers on all nodes and has the images");
        site.plan.network.deploy(&control.kubectl, u8::try_from(members.len())?)?;
        members.iter_mut().try_for_each(Member::join)?;
        members.iter_mut().try_for_each(|member| network::join(member, &control.kubectl, fabric))?;
        note("nodes have registered");
        for member in members.iter() {
            member.ready(&control.kubectl)?;
            note(&format!("{} is ready", member.name));
        }
        // Without it no pod is admitted.
        eventually(PATIENCE, || control.kubectl.run(&["get", "serviceaccount", "default"]))?;
        note("pods are admitted");
        Ok(())
    }

    /// Asking the API server.
    pub fn kubectl(&self) -> &Kubectl {
        &self.control.kubectl
    }

    /// Asking the API server with this token and no certificate. `name` tells it from others.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn kubectl_with_token(&self, name: &str, token: &str) -> Result<Kubectl> {
        let Site { programs, authority, dir, .. } = self.site.as_ref();
        let kubeconfig = authority.kubeconfig_of_token(name, &self.site.server(), token)?;
        Kubectl::new(programs, &self.control.netns, &kubeconfig, &dir.join(format!("kubectl-{name}")))
    }

    /// Its files.
    pub fn dir(&self) -> &Path {
        &self.site.dir
    }

    /// A node, by its name.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn member(&self, name: &str) -> Result<&Member> {
        let found = self.members.iter().find(|member| member.name == name);
        found.with_context(|| format!("there is no node {name}"))
    }

    /// A node, by its name, for what changes it.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn member_mut(&mut self, name: &str) -> Result<&mut Member> {
        let found = self.members.iter_mut().find(|member| member.name == name);
        found.with_context(|| format!("there is no node {name}"))
    }

    /// A power cut on a node, and the same machine again. It may still be on its way to being ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn reboot(&mut self, name: &str) -> Result<()> {
        let Self { members, fabric, .. } = self;
        let found = members.iter_mut().find(|member| member.name == name);
        found.with_context(|| format!("there is no node {name}"))?.reboot(fabric)
    }

    /// Cuts a node off from the control plane: no packet passes any more, and nobody is told.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn cut_off(&self, name: &str) -> Result<()> {
        self.fabric.cut(self.member(name)?.number(), fabric::CONTROL)
    }

    /// Undoes [`Cluster::cut_off`].
    ///
    /// # Errors
    /// When it was not cut off.
    pub fn reconnect(&self, name: &str) -> Result<()> {
        self.fabric.mend(self.member(name)?.number(), fabric::CONTROL)
    }

    /// Waits until all nodes are ready.
    ///
    /// # Errors
    /// Names one that is not.
    pub fn ready(&self) -> Result<()> {
        self.members.iter().try_for_each(|member| member.ready(self.kubectl()))
    }

    /// What a failed trial's report says of the cluster: objects, events, and the end of every log.
    pub fn diagnosis(&self) -> String {
        let mut text = String::new();
        for what in
            [["nodes", "--output=wide"], ["pods", "--output=wide"], ["events", "--sort-by=.lastTimestamp"]]
        {
            match self.kubectl().run(&[&["get", "--all-namespaces"], what.as_slice()].concat()) {
                Ok(said) => writeln!(text, "--- {}\n{said}", what[0]).ok(),
                Err(_) => writeln!(text, "--- the API server does not tell of {}", what[0]).ok(),
            };
        }
        text + &self.world.diagnosis()
    }

    /// Takes it down.
    ///
    /// # Errors
    /// Names what was left of it; that is removed all the same.
    pub fn close(self) -> Result<()> {
        let Self { members, control, fabric, world, .. } = self;
        drop((members, control, fabric));
        world.close()
    }
}

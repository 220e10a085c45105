//! The links of attachments.

use std::path::Path;
use std::sync::Arc;

use flock_core::attachment::IfName;
use flock_core::host::HostLink;
use flock_core::link::{LinkChange, LinkSpec, Mac, PodObserved};
use netlink_packet_route::link::LinkMessage;

use super::errno::Failure;
use super::netns::on_own_thread;
use super::observe::{self, OnLink};
use super::rtnetlink::RouteFilter;
use super::socket::Socket;
use super::{LinuxKernel, apply, decode, entered, pod};
use crate::{KernelError, Links};

impl Links for LinuxKernel {
    async fn host_link(&self, name: &IfName) -> Result<Option<HostLink>, KernelError> {
        let (action, name) = (format!("observe link {name}"), name.clone());
        self.observe(action, move |socket| observe_link(socket, &name)).await
    }

    async fn pod(&self, netns: &Path, ifname: &IfName) -> Result<PodObserved, KernelError> {
        self.gates.observe()?;
        let (netns, ifname) = (netns.to_owned(), ifname.clone());
        on_own_thread(move || pod::observe(&netns, &ifname)).await
    }

    async fn change_link(&self, spec: &LinkSpec, changes: &[LinkChange]) -> Result<(), KernelError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (node, sysctls) = (Arc::clone(&self.node), self.sysctls.clone());
        let (gates, spec, changes) = (self.gates.clone(), spec.clone(), changes.to_vec());
        let permit = self.link_change_permit().await?;
        on_own_thread(move || {
            let _permit = permit;
            entered(&node, || {
                let mut work = apply::Work::begin(&node, &sysctls, &spec)?;
                changes.iter().try_for_each(|change| gates.step(change, || work.make(change)))
            })
        })
        .await
    }

    async fn delete_link(&self, name: &IfName) -> Result<(), KernelError> {
        let (gates, name) = (self.gates.clone(), name.clone());
        let permit = self.link_change_permit().await?;
        self.on_node(move |socket| {
            let _permit = permit;
            gates.step(&DeleteLink(&name), || apply::delete_link(socket, &name))
        })
        .await
    }
}

/// The step.
#[derive(Debug)]
struct DeleteLink<'a>(#[expect(dead_code, reason = "shown")] &'a IfName);

/// One link by name.
fn observe_link(socket: &mut Socket, name: &IfName) -> Result<Option<HostLink>, Failure> {
    let Some(link) = socket.link_by_name(name)? else {
        return Ok(None);
    };
    let index = link.header.index;
    let mut on_links = observe::addresses_and_neighbours(socket, Some(index))?;
    let routes = socket.routes(RouteFilter { link: Some(index), ..RouteFilter::ours() })?;
    observe::add_routes(&mut on_links, &routes);
    Ok(Some(host_link(&link, &on_links.remove(&index).unwrap_or_default())))
}

/// The host side of a link with what is configured on it.
pub(super) fn host_link(link: &LinkMessage, on_link: &OnLink) -> HostLink {
    HostLink {
        alias: decode::alias(link),
        // All zero on a link that is not Ethernet, and so not ours.
        mac: decode::mac(link).unwrap_or(Mac([0; 6])),
        facts: observe::host_facts(link, on_link),
    }
}

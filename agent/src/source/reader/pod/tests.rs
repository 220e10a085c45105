use std::net::IpAddr;

use flock_core::pod::annotation::PodRequests;
use flock_core::selector::Labels;

use super::*;

fn read(yaml: &str) -> Result<Option<ReadPod>, ReadError> {
    super::pod(&crate::source::document::json(yaml), &mut Interner::default())
}

fn manifest(metadata: &str, rest: &str) -> ReadPod {
    let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: web-0{metadata}}}\n{rest}\n");
    read(&text).unwrap_or_else(|error| panic!("{text}{error}")).unwrap()
}

fn readiness(metadata: &str, status: &str) -> Readiness {
    pod(metadata, &format!("status: {status}")).readiness
}

fn pod(metadata: &str, rest: &str) -> Pod {
    manifest(metadata, rest).pod
}

const READY: &str = "{conditions: [{type: Ready, status: \"True\"}]}";

#[test]
fn a_full_document_becomes_the_pod() {
    let text = r#"
apiVersion: v1
kind: Pod
metadata:
  name: web-6d4cf56db6-x2x7q
  namespace: shop
  uid: 8c0e7a52-0000-4000-8000-000000000001
  annotations: {flock.fritzlab.net/anycast: "2001:db8:53::1"}
  labels: {pod-template-hash: 6d4cf56db6}
  ownerReferences: [{kind: ReplicaSet, name: web-6d4cf56db6, controller: true, uid: x}]
  creationTimestamp: null
  deletionTimestamp: null
spec:
  nodeName: node-a
  containers:
  - {name: main, image: "registry.example/web:1", ports: [{containerPort: 8080}]}
  - {name: proxy, image: "registry.example/proxy:1", ports: [{name: dns, containerPort: 53, protocol: UDP}]}
status:
  phase: Running
  hostIP: 192.0.2.1
  podIPs: [{ip: "2001:db8:a:1::7"}, {ip: 203.0.113.7}]
  conditions:
  - {type: PodScheduled, status: "True", lastProbeTime: null, lastTransitionTime: "2026-01-01T00:00:00Z"}
  - {type: Ready, status: "True", lastProbeTime: null, lastTransitionTime: "2026-01-01T00:00:00Z"}
"#;
    let ReadPod { pod, .. } = read(text).unwrap().unwrap();
    let expected = Pod {
        name: PodName::new("shop", "web-6d4cf56db6-x2x7q").unwrap(),
        uid: Some("8c0e7a52-0000-4000-8000-000000000001".to_owned()),
        requests: Ok(PodRequests {
            anycast: vec!["2001:db8:53::1".parse().unwrap()],
            ..PodRequests::default()
        }),
        warnings: Vec::new(),
        labels: Labels::from([("pod-template-hash", "6d4cf56db6")]),
        controller: Some(Controller { kind: "ReplicaSet".to_owned(), name: "web-6d4cf56db6".to_owned() }),
        image: Some("registry.example/web:1".to_owned()),
        node: Some("node-a".into()),
        readiness: Readiness::Ready,
        has_ended: false,
        ips: ["2001:db8:a:1::7".parse().unwrap(), "203.0.113.7".parse().unwrap()].into(),
        ports: [port(None, 8080, Protocol::Tcp), port(Some("dns"), 53, Protocol::Udp)].into(),
    };
    assert_eq!(pod, expected);
}

#[test]
fn a_pod_of_which_nothing_is_said_is_nowhere_and_not_ready() {
    let nothing = Pod::new(PodName::new("default", "web-0").unwrap());
    assert_eq!(nothing.readiness, Readiness::NotReady);
    for rest in ["", "spec: {}\nstatus: {}", "spec: {nodeName: \"\"}", "spec: {nodeName: }\nstatus: "] {
        assert_eq!(pod("", rest), nothing, "{rest}");
    }
}

#[test]
fn ready_is_what_the_condition_ready_says() {
    let cases = [
        (READY, Readiness::Ready),
        ("{phase: Running, conditions: [{type: Ready, status: \"True\"}]}", Readiness::Ready),
        ("{conditions: [{type: Ready, status: \"False\"}]}", Readiness::NotReady),
        ("{conditions: [{type: Ready, status: Unknown}]}", Readiness::NotReady),
        ("{conditions: [{type: Ready, status: \"true\"}]}", Readiness::NotReady),
        ("{conditions: [{type: ContainersReady, status: \"True\"}]}", Readiness::NotReady),
        ("{conditions: []}", Readiness::NotReady),
        ("{conditions: }", Readiness::NotReady),
        ("{phase: Running}", Readiness::NotReady),
    ];
    for (status, expected) in cases {
        assert_eq!(readiness("", status), expected, "{status}");
    }
}

#[test]
fn a_pod_that_has_run_to_its_end_is_never_ready() {
    for phase in ["Succeeded", "Failed"] {
        let status = format!("{{phase: {phase}, {}", READY.trim_start_matches('{'));
        assert_eq!(readiness("", &status), Readiness::NotReady, "{status}");
    }
}

#[test]
fn a_pod_that_is_being_deleted_is_terminating_whatever_its_status_says() {
    for deleted in ["\"2026-01-01T00:00:00Z\"", "2026-01-01T00:00:00Z"] {
        let metadata = format!(", deletionTimestamp: {deleted}");
        for status in [READY, "{}", "{phase: Failed}"] {
            assert_eq!(readiness(&metadata, status), Readiness::Terminating, "{deleted} {status}");
        }
    }
    for alive in ["null", "~", ""] {
        assert_eq!(readiness(&format!(", deletionTimestamp: {alive}"), READY), Readiness::Ready, "{alive}");
    }
}

#[test]
fn a_condition_may_lack_what_the_api_server_does_not_ask_for() {
    let odd = "{conditions: [{}, {type: Ready}, {status: \"True\"}, {type: , status: }]}";
    assert_eq!(readiness("", odd), Readiness::NotReady);
    assert_eq!(manifest("", &format!("status: {odd}")).invalid_condition, None);
}

#[test]
fn a_status_that_kubernetes_never_writes_is_remarked_upon() {
    let status = "{conditions: [{type: Other, status: x}, {type: Ready, status: \"true\"}]}";
    let odd = manifest("", &format!("status: {status}")).invalid_condition.unwrap();
    assert_eq!(
        odd.to_string(),
        "status.conditions[1].status: \"true\" is not \"True\", \"False\" or \"Unknown\""
    );
    assert_eq!(manifest("", &format!("status: {READY}")).invalid_condition, None);
}

#[test]
fn a_static_pod_has_the_uid_that_the_runtime_is_told() {
    let annotated = ", uid: mirror, annotations: {kubernetes.io/config.mirror: kubelets}";
    let of = |metadata| pod(metadata, "").uid;
    assert_eq!(of(annotated).as_deref(), Some("kubelets"));
    assert_eq!(of(", uid: plain").as_deref(), Some("plain"));
}

fn port(name: Option<&str>, number: u16, protocol: Protocol) -> ContainerPort {
    ContainerPort { name: name.map(Into::into), number, protocol }
}

#[test]
fn sidecars_have_ports_and_other_init_containers_have_none() {
    let spec = "spec:
  initContainers:
  - {name: setup, ports: [{name: setup, containerPort: 1}]}
  - {name: mesh, restartPolicy: Always, ports: [{name: mesh, containerPort: 15001}]}
  containers: [{name: main, ports: [{name: http, containerPort: 80, protocol: TCP}, {containerPort: 9, protocol: SCTP}]}]";
    let expected = [
        port(Some("mesh"), 15001, Protocol::Tcp),
        port(Some("http"), 80, Protocol::Tcp),
        port(None, 9, Protocol::Sctp),
    ];
    assert_eq!(*pod("", spec).ports, expected);
}

#[test]
fn annotations_that_cannot_be_obeyed_leave_the_pod_known() {
    let metadata = ", annotations: {flock.fritzlab.net/anycast: nowhere}";
    let pod = pod(metadata, "");
    assert!(pod.requests.as_ref().unwrap_err().to_string().contains("nowhere"));
    assert_eq!(pod.anycast(), [] as [IpAddr; 0]);
}

#[test]
fn a_condition_that_is_a_switch_is_refused_as_the_api_server_refuses_it() {
    for status in ["true", "True"] {
        let text =
            format!("metadata: {{name: web-0}}\nstatus: {{conditions: [{{type: Ready, status: {status}}}]}}");
        let error = read(&text).unwrap_err().to_string();
        assert_eq!(error, "status.conditions[0].status: invalid type: boolean `true`, expected a string");
    }
}

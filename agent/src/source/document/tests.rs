use flock_core::claim::Use;
use flock_core::pod::Readiness;

use super::*;

fn read(document: &str) -> Result<Reading, Refusal> {
    split(document)[0].read()
}

#[test]
fn an_address_pool_is_served() {
    let text = "apiVersion: flock.fritzlab.net/v1alpha1\nkind: AddressPool\nmetadata: {name: dns}\nspec:\n  cidrs: [2001:db8:53::/64]\n  use: Anycast\n  namespaceSelector: {}\n";
    let Reading { object, remarks } = read(text).unwrap();
    let Some(Object::AddressPool(pool)) = object else { panic!("{object:?}") };
    assert_eq!((pool.name.as_str(), pool.usage), ("dns", Use::Anycast));
    assert_eq!(remarks, []);
    let Refusal { line, reason } = read(&text.replace("/64", "/640")).unwrap_err();
    assert!(
        reason.starts_with("AddressPool dns: spec.cidrs[0]: \"2001:db8:53::/640\" is no prefix"),
        "{reason}"
    );
    assert_eq!(line, 5);
}

#[test]
fn a_pod_with_an_odd_status_is_read_and_remarked_upon() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web-0}\nstatus:\n  conditions:\n  - type: Ready\n    status: \"true\"\n";
    let Reading { object, remarks } = read(text).unwrap();
    assert!(matches!(object, Some(Object::Pod(pod)) if pod.readiness == Readiness::NotReady));
    let [(7, remark)] = remarks.as_slice() else { panic!("{remarks:?}") };
    assert!(
        remark.starts_with("Pod default/web-0: status.conditions[0].status: \"true\" is not"),
        "{remark}"
    );
}

#[test]
fn a_pod_whose_status_is_no_status_is_refused_at_its_field() {
    let text =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web-0}\nstatus: {conditions: [{type: [Ready]}]}\n";
    let refusal = read(text).unwrap_err();
    assert!(refusal.reason.starts_with("status.conditions[0].type"), "{}", refusal.reason);
    let refusal = read(&text.replace("[{type: [Ready]}]", "Ready")).unwrap_err();
    assert!(refusal.reason.starts_with("status.conditions: must be a list"), "{}", refusal.reason);
}

#[test]
fn a_text_is_no_number_and_a_number_no_text_as_for_the_api_server() {
    let cases = [
        ("  mtu: \"1400\"", "spec.mtu: invalid type: string \"1400\", expected a whole number"),
        ("  uplinks: [7]", "spec.uplinks[0]: invalid type: integer `7`, expected a string"),
        ("  anycast: {holdDown: 5}", "spec.anycast.holdDown: invalid type: integer `5`, expected a string"),
        (
            "  defaults: {ipv6: \"true\"}",
            "spec.defaults.ipv6: invalid type: string \"true\", expected true or false",
        ),
    ];
    for (field, words) in cases {
        let text = format!(
            "apiVersion: flock.fritzlab.net/v1alpha1\nkind: NodeConfig\nmetadata: {{name: node-a}}\nspec:\n{field}\n"
        );
        let Refusal { line, reason } = read(&text).unwrap_err();
        assert_eq!((line, reason.as_str()), (5, words), "{field}");
    }
    let labels = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web-0\n  labels:\n    number: 7\n";
    let Refusal { line, reason } = read(labels).unwrap_err();
    assert_eq!(
        (line, reason.as_str()),
        (6, "metadata.labels.number: invalid type: integer `7`, expected a string")
    );
}

#[test]
fn what_is_written_without_a_value_is_not_there() {
    let text = "apiVersion: flock.fritzlab.net/v1alpha1\nkind: NodeConfig\nmetadata: {name: node-a}\nspec: {mtu: , bgp: , uplinks: }\n";
    let Some(Object::NodeConfig(config)) = read(text).unwrap().object else { panic!("none") };
    assert_eq!(config.spec, serde_json::json!({}));
}

#[test]
fn a_field_beside_spec_is_refused() {
    let text =
        "apiVersion: flock.fritzlab.net/v1alpha1\nkind: NodeConfig\nmetadata: {name: node-a}\nsepc: {}\n";
    let Refusal { line, reason } = read(text).unwrap_err();
    assert_eq!(line, 4);
    assert!(reason.starts_with("sepc: unknown field `sepc`, expected one of apiVersion,"), "{reason}");
}

#[test]
fn a_field_that_is_there_twice_is_refused_where_it_is() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web-0\n  name: web-1\n";
    let Refusal { line, reason } = read(text).unwrap_err();
    assert_eq!((line, reason.as_str()), (5, "metadata.name: name is there twice: leave one out"));
}

use super::*;

fn plan(spec: &str) -> Result<NodePlan, FieldError> {
    node_plan("node-a", None, serde_saphyr::from_str(spec).unwrap())
}

#[test]
fn what_is_not_said_is_as_in_an_empty_plan() {
    for spec in ["{}", "{claims: , anycast: }", "{claims: Pools, anycast: {}}"] {
        assert_eq!(plan(spec).unwrap(), NodePlan::new("node-a"), "{spec}");
    }
    let said = "{claims: Pools, anycast: {establishedConnections: Keep, holdDown: 1s}}";
    assert_eq!(plan(said).unwrap(), NodePlan::new("node-a"));
}

#[test]
fn claims_and_anycast_become_the_plan() {
    let plan = plan("{claims: Any, anycast: {establishedConnections: Move, holdDown: 1m30s}}").unwrap();
    let hold_down = Duration::from_secs(90);
    assert_eq!(plan.claims, Claims::Any);
    assert_eq!(plan.anycast, AnycastPlan { established: EstablishedConnections::Move, hold_down });
}

#[test]
fn hold_down_is_up_to_an_hour() {
    for (given, seconds) in [("0s", 0), ("0", 0), ("1h", 3600)] {
        let plan = plan(&format!("{{anycast: {{holdDown: {given}}}}}")).unwrap();
        assert_eq!(plan.anycast.hold_down, Duration::from_secs(seconds), "{given}");
    }
    let error = plan("{anycast: {holdDown: 3600001ms}}").unwrap_err().to_string();
    assert_eq!(error, "spec.anycast.holdDown: 3600001ms is too long: at most 1h");
}

#[test]
fn what_the_reader_refuses_is_named_by_its_field_too() {
    let cases = [
        ("claims: All", "spec.claims: ", "expected one of Pools, Any"),
        ("anycast: Keep", "spec.anycast: ", "mapping"),
        ("anycast: {established: Keep}", "spec.anycast.established: ", "unknown field"),
        ("anycast: {establishedConnections: keep}", "spec.anycast.establishedConnections: ", "Keep, Move"),
        ("anycast: {holdDown: 5}", "spec.anycast.holdDown: ", "expected a string"),
        ("anycast: {holdDown: \"5\"}", "spec.anycast.holdDown: ", "write numbers with units"),
        ("anycast: {holdDown: -1s}", "spec.anycast.holdDown: ", "is not a duration"),
    ];
    for (field, path, words) in cases {
        let text = format!(
            "apiVersion: flock.fritzlab.net/v1alpha1\nkind: NodeConfig\nmetadata: {{name: node-a}}\nspec:\n  {field}\n"
        );
        let refusal = crate::source::document::split(&text)[0].read().unwrap_err();
        assert!(refusal.reason.starts_with(path), "{field}: {}", refusal.reason);
        assert!(refusal.reason.contains(words), "{field}: {}", refusal.reason);
        assert_eq!(refusal.line, 5, "{field}");
    }
}

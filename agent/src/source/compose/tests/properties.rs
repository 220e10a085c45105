//! Whatever is written.

use proptest::prelude::*;

use super::*;

/// Of the same shape each time, as the schema has it: a mapping in a mapping, a list, scalars.
fn spec() -> impl Strategy<Value = Value> {
    let scalar = || prop::option::of(0..4i64);
    let list = prop::option::of(prop::collection::vec(0..3i64, 0..3));
    let inner = prop::option::of((scalar(), scalar()));
    (scalar(), list, inner).prop_map(|(a, list, inner)| {
        let mut spec = json!({"a": a, "list": list, "inner": null});
        if let Some((b, c)) = inner {
            spec["inner"] = json!({"b": b, "c": c});
        }
        spec
    })
}

fn merged(layers: &[Value]) -> Value {
    let count = i32::try_from(layers.len()).unwrap();
    let templates = layers.iter().zip(0..).map(|(spec, index)| template("t", count - index, spec.clone()));
    let templates: Vec<ConfigObject> =
        templates.enumerate().map(|(index, t)| ConfigObject { name: index.to_string(), ..t }).collect();
    let objects = super::objects(templates);
    let inputs = Inputs {
        nodes: objects.nodes,
        configs: objects.configs,
        unreadable: vec![],
        servers: BTreeSet::new(),
    };
    Value::Object(merge::merge(&Layers::of(&inputs, NODE)).spec)
}

fn without_nulls(mut value: Value) -> Value {
    crate::source::node_config::without_nulls(&mut value);
    value
}

/// Everything that `above` says is in `whole`.
fn holds(above: &Value, whole: &Value) -> bool {
    match (above, whole) {
        (Value::Null, _) => true,
        (Value::Object(above), Value::Object(whole)) => {
            above.iter().all(|(key, value)| holds(value, whole.get(key).unwrap_or(&Value::Null)))
        }
        (above, whole) => above == whole,
    }
}

/// NodeConfigs that make sense, each of some node or of all.
fn configs() -> impl Strategy<Value = Vec<ConfigObject>> {
    let prefix = (0..6u8).prop_map(|n| format!("2001:db8:{n}::/64"));
    let spec = (prop::option::of(prefix), prop::option::of(1300..1303u32))
        .prop_map(|(prefix, mtu)| without_nulls(json!({"cidr6": prefix.map(|p| [p]), "mtu": mtu})));
    let config = (0..5usize, -1..2i32, spec, 0..3i64, any::<bool>()).prop_map(
        |(index, priority, spec, made, uses)| {
            let config = match index {
                0..3 => own(["node-a", NODE, "node-c"][index], spec),
                _ => template(["t", "u"][index - 3], priority, spec),
            };
            let pools_in_use = if uses { nets(&["2001:db8:3::/64"]) } else { Vec::new() };
            ConfigObject { created: at(made), pools_in_use, ..config }
        },
    );
    prop::collection::vec(config, 0..6)
}

proptest! {
    #[test]
    fn what_one_says_alone_is_what_it_says(spec in spec()) {
        prop_assert_eq!(merged(std::slice::from_ref(&spec)), without_nulls(spec));
    }

    #[test]
    fn saying_it_twice_changes_nothing(a in spec(), b in spec()) {
        let once = merged(&[a.clone(), b.clone()]);
        prop_assert_eq!(merged(&[a.clone(), a.clone(), b.clone()]), once.clone());
        prop_assert_eq!(merged(&[once.clone(), b]), once);
    }

    #[test]
    fn it_does_not_matter_which_two_are_merged_first(a in spec(), b in spec(), c in spec()) {
        let all = merged(&[a.clone(), b.clone(), c.clone()]);
        prop_assert_eq!(merged(&[a.clone(), merged(&[b.clone(), c.clone()])]), all.clone());
        prop_assert_eq!(merged(&[merged(&[a, b]), c]), all);
    }

    #[test]
    fn the_highest_always_wins(a in spec(), others in prop::collection::vec(spec(), 0..4)) {
        let layers: Vec<Value> = std::iter::once(a.clone()).chain(others).collect();
        prop_assert!(holds(&a, &merged(&layers)));
    }

    #[test]
    fn what_came_before_does_not_matter_unless_what_is_now_is_refused(
        before in prop::collection::vec(configs(), 0..4),
        now in configs(),
    ) {
        let mut composer = Composer::new(NODE);
        for former in before {
            composer.compose(objects(former), vec![]);
        }
        let (there, afresh) = (composer.compose(objects(now.clone()), vec![]), compose(objects(now)));
        prop_assert_eq!(&there.config, &afresh.config);
        if there.config.refused.is_none() {
            prop_assert_eq!(there, afresh);
        }
    }

    #[test]
    fn no_two_nodes_that_come_up_together_give_the_same_addresses(configs in configs()) {
        // In a folder with all Nodes in it each node knows what templates say to the others.
        let folder = ["node-a", NODE, "node-c"]
            .into_iter()
            .fold(objects(configs), |objects, name| with_node(objects, name, node(&[], &[])));
        let plans: Vec<_> = ["node-a", NODE, "node-c"]
            .into_iter()
            .filter_map(|node| Composer::new(node).compose(folder.clone(), vec![]).node)
            .collect();
        for (index, a) in plans.iter().enumerate() {
            for b in &plans[index + 1..] {
                prop_assert!(!a.pools.iter().any(|net| b.pools.iter().any(|other| other == net)));
            }
        }
    }
}

//! Lists: their pages, cursors and filters.

use serde_json::{Value, json};

use super::{Api, answer, assert_problem, done, on_both};
use crate::app::{Backend, Installation};
use crate::world::ORDERS;

const CLIENTS: &str = "/admin/v1/clients";
const AUDIT: &str = "/admin/v1/audit";
const RESOURCES: &str = "/admin/v1/resources";
const ORDERS_PATH: &str = "/admin/v1/resources/https%3A%2F%2Forders.example";

on_both! {
    every_item_is_on_exactly_one_page,
    the_audit_log_is_filtered_by_exact_values,
    a_damaged_client_is_named_beside_the_others,
}

/// All items of a list, read by pages of `size`.
async fn walk(api: &Api, path: &str, size: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let joint = if path.contains('?') { '&' } else { '?' };
        let page = api.get(&format!("{path}{joint}page_size={size}{cursor}")).await;
        done(&page);
        let on_page = page.body["items"].as_array().unwrap();
        items.extend(on_page.iter().cloned());
        match page.body["next_cursor"].as_str() {
            Some(next) => {
                assert_eq!(on_page.len(), size, "a page that is not the last is full");
                cursor = format!("&cursor={next}");
            }
            None => return items,
        }
    }
}

async fn every_item_is_on_exactly_one_page(backend: Backend) {
    let api = Api::on(backend).await;
    for number in 0..7 {
        let client = json!({"client_id": format!("c{number}"), "access": {ORDERS: ""}});
        done(&api.change("POST", CLIENTS, None, client).await);
        let resource = json!({"resource": format!("urn:r{number}")});
        done(&api.change("POST", RESOURCES, None, resource).await);
    }
    let rows = api.rows().await.len();
    for (path, member, count) in [(CLIENTS, "client_id", 10), (RESOURCES, "resource", 9), (AUDIT, "number", rows)] {
        let whole = walk(&api, path, 200).await;
        assert_eq!(whole.len(), count, "{path}");
        for size in [1, 2, 3, count - 1, count, count + 1] {
            assert_eq!(walk(&api, path, size).await, whole, "{path} by {size}");
        }
        let names: Vec<&Value> = whole.iter().map(|item| &item[member]).collect();
        for name in &names {
            assert_eq!(names.iter().filter(|other| other == &name).count(), 1, "{path} {name}");
        }
    }
    let numbers: Vec<i64> = walk(&api, AUDIT, 5).await.iter().map(|entry| entry["number"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=i64::try_from(rows).unwrap()).rev().collect::<Vec<_>>(), "the newest first");
    assert_eq!(walk(&api, RESOURCES, 4).await[0]["reserved"], true);
    api.signet.stop().await;
}

async fn a_damaged_client_is_named_beside_the_others(backend: Backend) {
    let api = Api::on(backend).await;
    for number in 0..4 {
        done(&api.change("POST", CLIENTS, None, json!({"client_id": format!("c{number}")})).await);
    }
    let whole = walk(&api, CLIENTS, 200).await;
    assert_eq!(api.get(CLIENTS).await.body.get("damaged"), None, "there is none");
    api.installation.execute("UPDATE clients SET grant_types = 'telepathy' WHERE client_id IN ('c1', 'c3')").await;
    let rest: Vec<Value> =
        whole.into_iter().filter(|client| client["client_id"] != "c1" && client["client_id"] != "c3").collect();
    for size in [1, 2, 3, 6, 200] {
        let (mut items, mut damaged, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let page = api.get(&format!("{CLIENTS}?page_size={size}{cursor}")).await;
            done(&page);
            let of = |member: &str| page.body[member].as_array().cloned().unwrap_or_default();
            assert!(of("items").len() + of("damaged").len() <= size);
            items.extend(of("items"));
            damaged.extend(of("damaged"));
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((&items, &damaged), (&rest, &vec![json!("c1"), json!("c3")]), "by {size}");
    }
    // It keeps nobody from the others, nor from what nobody names.
    assert_problem(&api.get(&format!("{CLIENTS}/c1")).await, 500, "server_error");
    assert_problem(&api.change("DELETE", ORDERS_PATH, Some("*"), json!(null)).await, 409, "resource_in_use");
    api.signet.stop().await;
}

async fn the_audit_log_is_filtered_by_exact_values(backend: Backend) {
    let api = Api::on(backend).await;
    done(&api.change("POST", RESOURCES, None, json!({"resource": "https://till.example"})).await);
    done(&api.change("POST", CLIENTS, None, json!({"client_id": "till"})).await);
    done(&api.change("POST", "/admin/v1/clients/till/disable", Some("*"), json!({"reason": "late"})).await);
    api.advance(std::time::Duration::from_secs(10)).await;
    done(&api.change("POST", "/admin/v1/clients/till/enable", Some("*"), json!({"reason": "paid"})).await);
    let acts = async |query: &str| -> Vec<String> {
        let items = walk(&api, &format!("{AUDIT}?{query}"), 1).await;
        items.iter().map(|item| item["act"].as_str().unwrap().to_owned()).collect()
    };
    let of_till = ["clients.enable", "clients.disable", "clients.create"];
    assert_eq!(acts("act=clients.disable").await, of_till[1..2]);
    assert_eq!(acts("subject=till").await, of_till);
    assert_eq!(acts("subject=till&act=clients.create").await, of_till[2..]);
    assert_eq!(acts("subject=Till").await, [""; 0]);
    let by_admin = acts(&format!("actor={}", api.admin.client_id)).await;
    assert_eq!(by_admin, [&of_till[..], &["resources.create"]].concat());
    assert_eq!(acts("actor=tester&subject=test").await, ["clients.update", "clients.update"]);
    assert_eq!(acts("actor=tester&subject=till").await, [""; 0]);
    assert_eq!(acts("subject=https://till.example").await, ["resources.create"]);
    assert_eq!(acts("subject=https%3A%2F%2Ftill.example").await, ["resources.create"]);
    // The held clock began at 2027-01-15T08:00:00Z.
    assert_eq!(acts("since=2027-01-15T08:00:10Z").await, of_till[..1]);
    assert_eq!(acts("since=2027-01-15T08:00:10.001Z").await, [""; 0]);
    assert_eq!(acts("until=2027-01-15T08:00:10Z&subject=till").await, of_till[1..]);
    for (parameter, wrong) in [
        ("act", "clients.Disable"),
        ("act", ""),
        ("subject", ""),
        ("actor", ""),
        ("since", "2027-01-15"),
        ("since", "1800000000"),
        ("until", "2027-01-15T08:00:10%2B00:00"),
        ("until", "tomorrow"),
    ] {
        let answer = api.get(&format!("{AUDIT}?{parameter}={wrong}")).await;
        assert_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.body["parameter"], parameter);
    }
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_page_size_is_a_number_within_bounds_in_digits() {
    let api = Api::start().await;
    for path in [CLIENTS, RESOURCES, AUDIT] {
        for wrong in [
            "0",
            "-1",
            "201",
            "4294967296",
            "18446744073709551616",
            "1e3",
            "1.0",
            "%2B1",
            "01",
            "ten",
            "",
            "1%20",
            "0x1",
            "%D9%A1",
        ] {
            let answer = api.get(&format!("{path}?page_size={wrong}")).await;
            assert_problem(&answer, 400, "invalid_parameter");
            assert_eq!(answer.body["parameter"], "page_size", "{path} {wrong}");
        }
        assert_problem(&api.get(&format!("{path}?page_size=1&page_size=1")).await, 400, "repeated_parameter");
        for unknown in ["pagesize=1", "page_size%20=1", "limit=1", "offset=1", "access_token=x", "Page_Size=1", "x"] {
            assert_problem(&api.get(&format!("{path}?{unknown}")).await, 400, "unknown_parameter");
        }
        for wrong in ["cursor=%", "cursor=%ff", "cursor=%00"] {
            assert_problem(&api.get(&format!("{path}?{wrong}")).await, 400, "invalid_query");
        }
        assert_eq!(api.get(&format!("{path}?page_size=1")).await.body["items"].as_array().unwrap().len(), 1);
    }
    api.signet.stop().await;
}

#[actix_web::test]
async fn a_cursor_is_good_for_the_list_that_gave_it_out_and_for_no_other() {
    let api = Api::start().await;
    let next = async |path: &str| {
        let page = api.get(path).await;
        page.body["next_cursor"].as_str().unwrap_or_else(|| panic!("{path}: {}", page.text)).to_owned()
    };
    let lists = [
        format!("{CLIENTS}?page_size=1"),
        format!("{RESOURCES}?page_size=1"),
        format!("{AUDIT}?page_size=1"),
        format!("{AUDIT}?page_size=1&actor=tester"),
        format!("{AUDIT}?page_size=1&until=2027-01-15T08:00:01Z"),
    ];
    let mut refused = 0;
    for (place, from) in lists.iter().enumerate() {
        let cursor = next(from).await;
        for (other, to) in lists.iter().enumerate() {
            let answer = api.get(&format!("{to}&cursor={cursor}")).await;
            if place == other {
                done(&answer);
            } else {
                assert_problem(&answer, 400, "invalid_cursor");
                refused += 1;
            }
        }
        // The size of a page may change on the way.
        done(&api.get(&format!("{}&cursor={cursor}", from.replace("page_size=1", "page_size=7"))).await);
        let mut forged =
            vec![String::new(), "0".to_owned(), "1".to_owned(), "c3R1ZmY".to_owned(), format!("{cursor}A")];
        forged.push(cursor[..cursor.len() - 1].to_owned());
        forged.push(cursor[1..].to_owned());
        forged.push(format!("{cursor}%3D"));
        forged.push(cursor.chars().rev().collect());
        forged.push("A".repeat(5_000));
        for at in (0..cursor.len()).step_by(7) {
            let mut changed: Vec<char> = cursor.chars().collect();
            changed[at] = if changed[at] == 'B' { 'C' } else { 'B' };
            forged.push(changed.into_iter().collect());
        }
        for forged in forged {
            assert_problem(&api.get(&format!("{from}&cursor={forged}")).await, 400, "invalid_cursor");
            refused += 1;
        }
    }
    println!("forged and swapped cursors refused: {refused}");
    // Another installation's is forged here.
    let other = Api::over(Installation::new()).await;
    let cursor = {
        let page = other.get(&lists[0]).await;
        page.body["next_cursor"].as_str().unwrap().to_owned()
    };
    assert_problem(&api.get(&format!("{}&cursor={cursor}", lists[0])).await, 400, "invalid_cursor");
    api.signet.stop().await;
    other.signet.stop().await;
}

#[actix_web::test]
async fn a_cursor_of_one_replica_is_good_on_another_and_after_a_restart() {
    let api = Api::start().await;
    let page = api.get(&format!("{CLIENTS}?page_size=1")).await;
    let cursor = page.body["next_cursor"].as_str().unwrap().to_owned();
    let second = api.installation.start().await;
    let url = format!("{}{CLIENTS}?page_size=1&cursor={cursor}", second.admin);
    // Its issuer is the first one's only where the address is set; the token of the second is for the second.
    let token = second.admin_token().await;
    let on_second = answer(second.http.get(url).bearer_auth(&token)).await;
    done(&on_second);
    assert_eq!(on_second.body, api.get(&format!("{CLIENTS}?page_size=1&cursor={cursor}")).await.body);
    api.signet.stop().await;
    second.stop().await;
}

#[actix_web::test]
async fn what_is_removed_at_the_edge_of_a_page_moves_nothing() {
    let api = Api::start().await;
    for id in ["a1", "a2", "a3"] {
        done(&api.change("POST", CLIENTS, None, json!({"client_id": id})).await);
        done(&api.change("POST", RESOURCES, None, json!({"resource": format!("urn:{id}")})).await);
    }
    for (path, member, edge, then) in [(CLIENTS, "client_id", "a1", "a2"), (RESOURCES, "resource", "urn:a1", "urn:a2")]
    {
        let size = if path == CLIENTS { 1 } else { 3 };
        let page = api.get(&format!("{path}?page_size={size}")).await;
        assert_eq!(page.body["items"][size - 1][member], edge, "{}", page.text);
        let cursor = page.body["next_cursor"].as_str().unwrap();
        done(&api.change("DELETE", &format!("{path}/{}", edge.replace(':', "%3A")), Some("*"), json!(null)).await);
        let after = api.get(&format!("{path}?page_size=1&cursor={cursor}")).await;
        assert_eq!(after.body["items"][0][member], then, "{}", after.text);
    }
    api.signet.stop().await;
}

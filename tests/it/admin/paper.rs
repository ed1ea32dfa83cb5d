//! docs/admin-api.md, the sign-in and the rotation of README.md, executed: their blocks of shell, against a first start.

use crate::start::program::Program;

#[actix_web::test]
async fn the_page_about_the_api_works_as_it_stands() {
    let mut program = Program::new();
    // It follows the port that it is bound to.
    program.set("ISSUER", None);
    let running = program.serve();
    let paper = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/admin-api.md")).unwrap();
    let blocks: Vec<&str> = paper.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 6, "found {}", blocks.len());
    let script = blocks.join("\n").replace("http://127.0.0.1:8081", &running.admin);
    // Each line may show what it likes, but none may fail: an answer that is an error is one.
    let script = script.replace("curl -sS", "curl -sS --fail-with-body");
    let ended = program.shell(&script, std::path::Path::new("/usr/bin"));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    running.stop();
}

#[actix_web::test]
async fn the_readme_rotates_a_key_on_the_command_line_and_through_the_api_as_it_stands() {
    let mut program = Program::new();
    for name in ["ISSUER", "KEYS__ALGORITHMS"] {
        program.set(name, None);
    }
    let running = program.serve();
    let paper = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = paper.split("\n## Rotate a key\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    let script = blocks.join("\n").replace("http://127.0.0.1:8081", &running.admin);
    let script =
        script.replace("http://127.0.0.1:8080", &running.public).replace("curl -sS", "curl -sS --fail-with-body");
    let keys = || -> Vec<serde_json::Value> {
        let listed = program.run(&["keys", "list", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed.out).unwrap();
        listed["keys"].as_array().unwrap().clone()
    };
    let active = |keys: &[serde_json::Value]| -> Vec<String> {
        let active = keys.iter().filter(|key| key["state"] == "active");
        active.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let before = active(&keys());
    let ended = program.shell(&script, std::path::Path::new("/usr/bin"));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    let after = keys();
    assert_eq!((before.len(), active(&after).len()), (2, 2));
    for kid in before {
        let state = after.iter().find(|key| key["kid"] == kid.as_str()).map(|key| key["state"].clone());
        assert_eq!(state, Some("retiring".into()), "{kid}");
        assert!(ended.out.contains(&kid), "it is in the key set that was shown");
    }
    running.stop();
}

#[actix_web::test]
async fn the_readme_signs_a_person_in_by_bodies_and_by_a_cookie_as_it_stands() {
    let mut program = Program::new();
    program.set("ISSUER", None);
    let running = program.serve();
    let paper = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = paper.split("\n## A person signs in\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3);
    let script = blocks.join("\n").replace("http://127.0.0.1:8080", &running.public);
    // An answer that is an error fails, but where the page says which error it is.
    let mut refused = 0;
    let lines = script.lines().map(|line| match line.split_once(" | jq -e '.code ==") {
        Some((call, code)) => {
            refused += 1;
            format!("{{ {call} || test $? = 22; }} | jq -e '.code =={code}")
        }
        None => line.to_owned(),
    });
    let script = lines.collect::<Vec<_>>().join("\n").replace("curl -sS", "curl -sS --fail-with-body");
    let ended = program.shell(&script, std::path::Path::new("/usr/bin"));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    assert_eq!(refused, 2, "after signing out, by body and by cookie");
    assert!(!ended.out.contains("srt_"), "{}", ended.out);
    running.stop();
}

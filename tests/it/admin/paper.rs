//! docs/admin-api.md, executed: every block of shell, in one shell, against a first start.

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

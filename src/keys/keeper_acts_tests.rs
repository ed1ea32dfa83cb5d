//! The keeper carries out what operators ask for, and tells it in the audit log.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::json;
use signet_verify::Algorithm::{self, Es256};

use super::fixtures::by;
use super::keeper::{Done, KeeperError};
use super::keeper_tests::{DAY, MINUTE, ROTATE, START, Setting};
use super::kind::{KeySpec, Kid};
use super::material::KeyError;
use super::pem_fixtures as pem;
use super::plan::PlanRefused;
use super::rotation::{KeyAct, SweepRefused};
use super::table::KeyTable;
use super::timeline::Foreseen;
use crate::audit::{Act, Entry};

fn last_entry(setting: &Setting) -> Entry {
    setting.store.entries.lock().unwrap().last().unwrap().clone()
}

fn active(table: &KeyTable) -> Kid {
    table.active(Es256).unwrap().kid.clone()
}

fn compromise(kid: &Kid) -> KeyAct {
    KeyAct::Compromise { kid: kid.clone(), reason: "found on a stick".to_owned() }
}

#[tokio::test]
async fn a_compromised_key_stops_signing_at_once_loses_its_private_half_and_never_comes_back() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let keeper = setting.keeper();
    let kid = keeper.import(pem::P256_SEC1, None, &by()).await.unwrap().kid;
    assert_eq!(setting.signs(&keeper, Es256), kid.as_str());
    let done = keeper.act(&compromise(&kid), &by().because("it leaked")).await.unwrap();
    assert_eq!((done.at, done.may_fail_until), (START, None), "the successor was in the first JWKS");
    assert_ne!(setting.signs(&keeper, Es256), kid.as_str());
    let jwks = String::from_utf8(keeper.ring().jwks().body().to_vec()).unwrap();
    assert!(!jwks.contains(kid.as_str()));
    assert!(setting.store.rows.lock().unwrap().1.iter().all(|(of, _)| *of != kid));
    let entry = last_entry(&setting);
    assert_eq!((entry.act, entry.subject.as_str(), entry.by.reason.as_str()), {
        (Act::KeysCompromise, kid.as_str(), "it leaked")
    });
    let steps = entry.detail["steps"].as_array().unwrap();
    let first = json!({"step": "compromise", "kid": kid.as_str(), "why": "found on a stick"});
    assert!(steps.contains(&first) && steps.len() == 3, "{steps:?}");

    let again = keeper.import(pem::P256_PKCS8, None, &by()).await;
    let Err(KeeperError::Plan(PlanRefused::KnownKey { state: "compromised", .. })) = again else {
        panic!("{again:?}");
    };
    for act in [KeyAct::Activate { kid: kid.clone(), force: true }, KeyAct::Retire { kid: kid.clone() }] {
        let refused = keeper.act(&act, &by()).await;
        assert!(matches!(refused, Err(KeeperError::Refused(SweepRefused::Transition(_)))), "{refused:?}");
    }
}

#[tokio::test]
async fn what_is_so_already_is_answered_without_a_change_or_an_audit_row() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let keeper = setting.keeper();
    keeper.sweep().await.unwrap();
    let kid = active(&setting.store.table());
    keeper.act(&compromise(&kid), &by()).await.unwrap();
    let (table, rows) = (setting.store.table(), setting.store.entries.lock().unwrap().len());
    let activate = KeyAct::Activate { kid: active(&table), force: false };
    for act in [compromise(&kid), activate] {
        let done = keeper.act(&act, &by()).await.unwrap();
        assert_eq!(done, Done { actions: vec![], table: table.clone(), at: START, may_fail_until: None });
    }
    assert_eq!(setting.store.table(), table);
    assert_eq!(setting.store.entries.lock().unwrap().len(), rows);
}

#[tokio::test]
async fn a_rotation_that_is_retried_after_a_lost_answer_happens_once() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let keeper = setting.keeper();
    keeper.sweep().await.unwrap();
    let expected = active(&setting.store.table());
    let act = KeyAct::Rotate { algorithm: Some(Es256), if_active: Some(expected.clone()), force: true };
    keeper.act(&act, &by()).await.unwrap();
    let refused = keeper.act(&act, &by()).await;
    let Err(KeeperError::Refused(SweepRefused::ActiveKeyDiffers(kid))) = refused else { panic!("{refused:?}") };
    assert_eq!(kid, expected);
    assert_eq!(setting.states(), "retiring active pending");
    let Entry { act, subject, detail, .. } = last_entry(&setting);
    assert_eq!((act, subject.as_str()), (Act::KeysRotate, "ES256"));
    assert_eq!((&detail["force"], &detail["if_active"]), (&json!(true), &json!(expected.as_str())));
    assert_eq!(detail.get("may_fail_until"), None);
}

#[tokio::test]
async fn two_keepers_that_rotate_at_once_rotate_once() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let (one, other) = (setting.keeper(), setting.keeper());
    one.sweep().await.unwrap();
    let by = by();
    let (first, second) = tokio::join!(one.act(&ROTATE, &by), other.act(&ROTATE, &by));
    let refused = [first, second].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    let [KeeperError::Refused(SweepRefused::NotPropagated { algorithm: Es256, possible_from })] = refused[..] else {
        panic!("{refused:?}");
    };
    assert_eq!(possible_from, START.plus(MINUTE * 15));
    assert_eq!(setting.states(), "retiring active pending");
}

#[tokio::test]
async fn a_dry_run_tells_what_the_act_then_does_and_touches_nothing() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let keeper = setting.keeper();
    keeper.sweep().await.unwrap();
    keeper.act(&ROTATE, &by()).await.unwrap();
    setting.clock.advance(MINUTE);
    let kid = active(&setting.store.table());
    let before = setting.store.rows.lock().unwrap().clone();
    let told = keeper.dry_run(&compromise(&kid)).await.unwrap();
    assert_eq!(*setting.store.rows.lock().unwrap(), before);
    assert_eq!(told.foreseen.may_fail_until, Some(START.plus(MINUTE * 15)));
    assert!(matches!(keeper.dry_run(&ROTATE).await, Err(KeeperError::Refused(SweepRefused::NotPropagated { .. }))));

    let done = keeper.act(&compromise(&kid), &by()).await.unwrap();
    assert_eq!((done.actions, done.at, done.may_fail_until), (told.actions, told.at, told.foreseen.may_fail_until));
    assert_eq!(last_entry(&setting).detail["may_fail_until"], json!(START.plus(MINUTE * 15).to_string()));
    let survey = keeper.survey().await.unwrap();
    assert_eq!((&survey.table, survey.at), (&done.table, setting.clock_now()));
    let Foreseen { timeline: foretold, .. } = told.foreseen;
    let nameless = foretold.keys.iter().filter(|key| key.kid.is_none()).count();
    assert_eq!((foretold.keys.len(), nameless), (survey.timeline.keys.len(), 1));
    for key in foretold.keys.iter().filter(|key| key.kid.is_some()) {
        assert_eq!(survey.timeline.of(key.kid.as_ref().unwrap()), Some(key));
    }
    assert_eq!(foretold.next_rotation, survey.timeline.next_rotation);
}

#[tokio::test]
async fn without_any_successor_a_compromise_makes_a_key_that_signs_at_once() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let keeper = setting.keeper();
    keeper.sweep().await.unwrap();
    setting.clock.advance(DAY);
    {
        let rows = &mut *setting.store.rows.lock().unwrap();
        let lost = rows.0.successor(Es256).unwrap().0.kid.clone();
        rows.0.keys.retain(|key| key.kid != lost);
        rows.1.retain(|(kid, _)| *kid != lost);
    }
    let kid = active(&setting.store.table());
    let done = keeper.act(&compromise(&kid), &by()).await.unwrap();
    assert_eq!(done.may_fail_until, Some(setting.clock_now().plus(MINUTE * 15)));
    assert_eq!(setting.signs(&keeper, Es256), active(&done.table).as_str());
    assert_eq!(done.table.pending(Es256).len(), 1);
    let entry = last_entry(&setting);
    let steps = entry.detail["steps"].as_array().unwrap();
    let published = steps.iter().filter(|step| step["step"] == "publish").count();
    assert_eq!(published, 2);
}

#[tokio::test]
async fn a_successor_that_does_not_open_is_not_promoted_by_hand_either() {
    let setting = Setting::new(&[KeySpec::Es256]);
    let keeper = setting.keeper();
    keeper.sweep().await.unwrap();
    let successor = setting.store.table().successor(Es256).unwrap().0.kid.clone();
    for (kid, sealed) in &mut setting.store.rows.lock().unwrap().1 {
        if *kid == successor {
            sealed.bytes[20] ^= 1;
        }
    }
    let activate = KeyAct::Activate { kid: successor.clone(), force: false };
    let retire = KeyAct::Retire { kid: active(&setting.store.table()) };
    for act in [ROTATE, activate, retire] {
        let refused = keeper.act(&act, &by()).await;
        let Err(KeeperError::Key(KeyError::Sealed { kid, .. })) = refused else { panic!("{refused:?}") };
        assert_eq!(kid, successor);
    }
    // It can be withdrawn: another takes its place.
    keeper.act(&KeyAct::Retire { kid: successor }, &by()).await.unwrap();
    assert_eq!(setting.states(), "active retired pending");
    assert!(keeper.survey().await.unwrap().timeline.next_rotation.contains_key(&Algorithm::Es256));
}

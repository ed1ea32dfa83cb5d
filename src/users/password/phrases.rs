//! Long passwords that everybody knows: lines of songs, plays and films, and walks over the keyboard. To whoever counts their
//! words they look strong, and every list that guessers begin with has them.
//!
//! Guarantees: a phrase is known however it is spaced and in whatever case, with digits and signs for letters, and with
//! more of those at either end.

/// In small letters, with nothing between the words.
const PHRASES: [&str; 94] = [
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "1qaz2wsx3edc4rfv5tgb",
    "abandonallhopeyewhoenterhere",
    "alliwantforchristmasisyou",
    "allyouneedislove",
    "allyourbasearebelongtous",
    "alwayslookonthebrightsideoflife",
    "anappleadaykeepsthedoctoraway",
    "andnowforsomethingcompletelydifferent",
    "asknotwhatyourcountrycandoforyou",
    "betterlatethannever",
    "changeistheonlyconstant",
    "correcthorsebattery",
    "correcthorsebatterystaple",
    "doordonotthereisnotry",
    "elementarymydearwatson",
    "everygoodboydeservesfudge",
    "fourscoreandsevenyearsago",
    "franklymydearidontgiveadamn",
    "godsavethequeen",
    "happybirthdaytoyou",
    "hellodarknessmyoldfriend",
    "honestyisthebestpolicy",
    "houstonwehaveaproblem",
    "icantgetnosatisfaction",
    "ihaveadream",
    "iloveyouforever",
    "iloveyousomuch",
    "iloveyoutothemoonandback",
    "imthekingoftheworld",
    "inthebeginninggodcreatedtheheavenandtheearth",
    "ithinkthereforeiam",
    "itsalongwaytothetop",
    "itwasadarkandstormynight",
    "itwasthebestoftimesitwastheworstoftimes",
    "iwanttobreakfree",
    "iwillalwaysloveyou",
    "jesusismysavior",
    "keepcalmandcarryon",
    "letitbeletitbe",
    "letmeinletmein",
    "livelongandprosper",
    "livinonaprayer",
    "loremipsumdolorsitamet",
    "lukeiamyourfather",
    "maryhadalittlelamb",
    "maythe4thbewithyou",
    "maytheforcebewithyou",
    "maythefourthbewithyou",
    "nevergonnagiveyouup",
    "nopainnogainnopainnogain",
    "noplacelikehome",
    "onceuponatime",
    "oneringtorulethemall",
    "opensesameopensesame",
    "ourfatherwhoartinheaven",
    "practicemakesperfect",
    "qazwsxedcrfv",
    "qazwsxedcrfvtgb",
    "romewasntbuiltinaday",
    "rowrowrowyourboat",
    "shallicomparetheetoasummersday",
    "showmethemoney",
    "speakfriendandenter",
    "stairwaytoheaven",
    "theanswerisfortytwo",
    "thelordismyshepherd",
    "thequickbrownfox",
    "thequickbrownfoxjumps",
    "thequickbrownfoxjumpsoverthelazydog",
    "theraininspainstaysmainlyintheplain",
    "thereisnoplacelikehome",
    "theresnoplacelikehome",
    "thetruthisoutthere",
    "thisismypassword",
    "thisisnotapassword",
    "timeflieslikeanarrow",
    "tobeornottobe",
    "tobeornottobethatisthequestion",
    "toinfinityandbeyond",
    "trustnoonetrustnoone",
    "twinkletwinklelittlestar",
    "wearethechampions",
    "wewillrockyou",
    "wewillwewillrockyou",
    "whatgoesaroundcomesaround",
    "wheninromedoastheromansdo",
    "wherethereisawillthereisaway",
    "winteriscoming",
    "withgreatpowercomesgreatresponsibility",
    "youcandoanything",
    "youshallnotpass",
    "zaq12wsxcde34rfv",
];

/// Whether `password` is one of the phrases, with little about it.
pub(super) fn is_well_known(password: &str) -> bool {
    let small = password.to_lowercase();
    // A digit is a letter, a sign is that of a digit's key, or both stand for nothing: `may the 4th`, `!QAZ`, `you!!1`.
    let spelled: String = small.chars().filter_map(letter).collect();
    let typed: String = small.chars().map(unshifted).filter(|sign| sign.is_alphanumeric()).collect();
    let own = small.trim_matches(|sign: char| !sign.is_alphabetic());
    let inner: String = own.chars().filter_map(letter).collect();
    PHRASES.iter().any(|phrase| {
        let in_letters: String = phrase.chars().filter_map(letter).collect();
        *phrase == typed || in_letters == spelled || in_letters == inner
    })
}

/// The letter that a digit or a sign is written for; nothing for what is none.
fn letter(sign: char) -> Option<char> {
    Some(match sign {
        '4' | '@' => 'a',
        '3' => 'e',
        '1' | '!' | '|' => 'i',
        '0' => 'o',
        '5' | '$' => 's',
        '7' | '+' => 't',
        other if other.is_alphanumeric() => other,
        _ => return None,
    })
}

/// What the key of a sign gives without shift, on the keyboard that such walks are made for.
fn unshifted(sign: char) -> char {
    let digits = "1234567890".chars();
    digits.zip("!@#$%^&*()".chars()).find_map(|(digit, shifted)| (shifted == sign).then_some(digit)).unwrap_or(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_known_however_it_is_written() {
        for known in [
            "correct horse battery staple",
            "correcthorsebatterystaple",
            "Correct-Horse_Battery.Staple2026!",
            "thequickbrownfox",
            "Th3 Qu1ck Br0wn F0x!!",
            "iloveyousomuch1",
            "maythe4thbewithyou",
            "!QAZ@WSX#EDC$RFV",
            "1qaz2wsx3edc4rfv",
            "to be or not to be",
        ] {
            assert!(is_well_known(known), "{known}");
        }
        for own in ["correct horse mossy staple", "the quick brown kettle", "to be or not to bees knees", ""] {
            assert!(!is_well_known(own), "{own}");
        }
    }

    #[test]
    fn every_phrase_is_written_as_it_is_compared_and_once() {
        assert!(PHRASES.is_sorted_by(|before, after| before < after));
        for phrase in PHRASES {
            assert!(phrase.chars().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit()), "{phrase}");
            assert!(is_well_known(phrase), "{phrase}");
        }
    }
}

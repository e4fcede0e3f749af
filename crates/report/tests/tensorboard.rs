//! Event files byte for byte as the `tensorboard` package (2.21) writes the same events.
mod sample;

use udas_record::{Event, Phase, StartRecord};
use udas_report::tensorboard::{EventWriter, write_run};

/// `tensorboard.summary.writer.record_writer.RecordWriter` on a version, a scalar and an image.
const KNOWN: &str = "1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d\
    2100000000000000017becf60900002043fc54d94110ac022a130a110a0a61646170742f6c6f73731552b89e3e1d1d6fbb\
    2a00000000000000ae8d91f50900002043fc54d94110012a1d0a1b0a0b6f7665726c6179732f7331220c080210031803\
    220489504e4716222d48";

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn bytes_are_those_of_the_tensorboard_package() {
    let mut log = EventWriter::new(Vec::new(), 1_700_000_000.0).unwrap();
    log.scalar("adapt/loss", 300, 1_700_000_012.5, 0.31).unwrap();
    log.image("overlays/s1", 1, 1_700_000_012.5, [3, 2], b"\x89PNG").unwrap();
    assert_eq!(hexadecimal(&log.into_inner()), KNOWN);
}

/// Messages of a file whose framing is right: length, something, data, something.
fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut messages, mut rest) = (Vec::new(), bytes);
    while let Some((length, tail)) = rest.split_first_chunk::<8>() {
        let length = u64::from_le_bytes(*length) as usize;
        messages.push(tail[4..4 + length].to_vec());
        rest = &tail[4 + length + 4..];
    }
    assert!(rest.is_empty(), "the last record is whole");
    messages
}

#[test]
fn a_run_becomes_a_file_that_is_replaced_when_it_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let epochs = sample::experiment(sample::Pairs::OneSource, 1, 6)
        .outcomes
        .into_iter()
        .find(|outcome| !outcome.epochs.is_empty())
        .unwrap()
        .epochs;
    let start = StartRecord { started_unix: 1_767_225_600, ..StartRecord::default() };
    let mut events = vec![Event::Start(start), Event::Before { phase: Phase::Adapt, score: 0.25 }];
    events.extend(epochs.iter().cloned().map(Event::Epoch));
    let pictures = [("overlays/s1".to_owned(), sample::picture(1))];
    let first = write_run(folder.path(), &events, &pictures).unwrap();
    let name = first.file_name().unwrap().to_str().unwrap();
    assert_eq!(name, "events.out.tfevents.1767225600.udas");
    let bytes = std::fs::read(&first).unwrap();
    // A version, the score before, five values an epoch, a picture.
    assert_eq!(messages(&bytes).len(), 1 + 1 + 5 * epochs.len() + 1);
    assert_eq!(write_run(folder.path(), &events, &pictures).unwrap(), first);
    assert_eq!(std::fs::read(&first).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

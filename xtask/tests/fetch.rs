//! `cargo xtask data fetch` against a real server on loopback, with everything that goes wrong on the way.

mod web;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use web::{DataSet, FETCH, Reply, Server, content, said};

#[test]
fn a_file_is_fetched_once() {
    let server = Server::start(|request, _| Reply::good(request, &content()));
    let set = DataSet::of_one(&server.url);
    set.fetch_well();
    set.fetch_well();
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.requests()[0].path, "/a.zip");
}

#[test]
fn cut_connections_are_resumed_where_they_broke() {
    // More cuts than attempts: only attempts without a new byte count.
    let server = Server::start(|request, _| {
        Reply::good(request, &content()).header("ETag", "\"v1\"").cut(15_000)
    });
    let set = DataSet::of_one(&server.url);
    set.fetch_well();
    let requests = server.requests();
    let firsts: Vec<_> = requests.iter().map(|request| request.first.unwrap_or(0)).collect();
    assert_eq!(firsts, [0, 15_000, 30_000, 45_000, 60_000, 75_000, 90_000]);
    assert!(requests[1..].iter().all(|request| request.if_range.as_deref() == Some("\"v1\"")));
}

#[test]
fn a_server_that_ignores_ranges_starts_over() {
    let server = Server::start(|_, number| {
        let whole = Reply::whole(&content());
        if number < 2 { whole.cut(40_000) } else { whole }
    });
    DataSet::of_one(&server.url).fetch_well();
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_server_that_always_cuts_is_given_up_and_its_bytes_are_kept() {
    let server = Server::start(|request, number| {
        let good = Reply::good(request, &content());
        // Some bytes, then none for as long as this call has patience, then all.
        match number {
            0 => good.cut(30_000),
            1..=3 => good.cut(0),
            _ => good,
        }
    });
    let set = DataSet::of_one(&server.url);
    set.fetch_badly("3 attempts without one new byte");
    set.fetch_well();
    assert_eq!(server.requests().last().unwrap().first, Some(30_000));
}

#[test]
fn a_silent_server_counts_as_cut() {
    let server = Server::start(|request, number| {
        let good = Reply::good(request, &content());
        if number == 0 { Reply { pause: Duration::from_secs(20), ..good } } else { good }
    });
    let set = DataSet::of_one(&server.url);
    let start = Instant::now();
    set.fetch_well();
    assert!(start.elapsed() < Duration::from_secs(15), "it waited for the silent server");
}

#[test]
fn another_length_is_refused() {
    let server = Server::start(|_, _| Reply::whole(&content()[..99_999]));
    DataSet::of_one(&server.url)
        .fetch_badly("the server has 99999 bytes, the manifest says 100000");
    // Without an announced length, the surplus shows on the way.
    let server = Server::start(|_, _| {
        let body = [content(), vec![0; 10]].concat();
        Reply { status: 200, body, ..Reply::default() }
    });
    DataSet::of_one(&server.url).fetch_badly("more than 100000");
}

#[test]
fn a_partial_answer_of_another_file_is_refused() {
    let server = Server::start(|request, _| match request.first {
        None => Reply::whole(&content()).cut(10_000),
        Some(first) => {
            let reply = Reply { status: 206, ..Reply::whole(&content()[first..]) };
            reply.header("Content-Range", format!("bytes {first}-1999999/2000000"))
        }
    });
    DataSet::of_one(&server.url).fetch_badly("the server has 2000000 bytes");
}

#[test]
fn an_answer_from_elsewhere_in_the_file_is_not_appended() {
    let server = Server::start(|request, number| match (number, request.first) {
        (0, _) => Reply::whole(&content()).cut(10_000),
        (1, Some(_)) => {
            let reply = Reply { status: 206, ..Reply::whole(&content()[500..]) };
            reply.header("Content-Range", "bytes 500-99999/100000")
        }
        _ => Reply::good(request, &content()),
    });
    DataSet::of_one(&server.url).fetch_well();
}

#[test]
fn another_content_is_refused_and_not_kept() {
    let server = Server::start(|request, _| {
        let mut wrong = content();
        wrong[70_000] ^= 1;
        Reply::good(request, &wrong)
    });
    let set = DataSet::of_one(&server.url);
    set.fetch_badly("the published file has changed");
    let part = fs::metadata(set.archive("a.zip.part")).map_or(0, |about| about.len());
    assert_eq!(part, 0, "bytes known to be wrong were kept");
}

#[test]
fn a_beginning_of_another_version_is_thrown_away() {
    // The server changes its file between two calls and tells nothing by which that could be seen.
    let server = Server::start(|request, number| {
        let old: Vec<u8> = content().iter().map(|byte| byte ^ 0xFF).collect();
        match number {
            0 => Reply::whole(&old).cut(50_000),
            _ => Reply::good(request, &content()),
        }
    });
    DataSet::of_one(&server.url).fetch_well();
    let firsts: Vec<_> = server.requests().iter().map(|request| request.first).collect();
    assert_eq!(firsts, [None, Some(50_000), None]);
}

#[test]
fn a_server_that_knows_its_versions_sends_everything_anew() {
    let server = Server::start(|request, number| match (number, request.if_range.as_deref()) {
        (0, _) => {
            let old = vec![7; content().len()];
            Reply::whole(&old).header("ETag", "\"old\"").cut(50_000)
        }
        (_, Some("\"old\"")) => Reply::whole(&content()).header("ETag", "\"new\""),
        _ => Reply::status(500),
    });
    DataSet::of_one(&server.url).fetch_well();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn redirects_are_followed_but_not_in_circles() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/a.zip" => Reply::status(302).header("Location", "/elsewhere/b"),
        "/elsewhere/b" => Reply::good(request, &content()),
        _ => Reply::status(404),
    });
    DataSet::of_one(&server.url).fetch_well();
    let circle = Server::start(|_, _| Reply::status(301).header("Location", "/a.zip"));
    DataSet::of_one(&circle.url).fetch_badly("redirected in circles");
    assert!(circle.requests().len() <= 10);
}

#[test]
fn refusals_say_what_to_do() {
    for (status, remedy) in
        [(404, "The file has moved"), (403, "asks for permission"), (418, "by hand")]
    {
        let server = Server::start(move |_, _| Reply::status(status));
        DataSet::of_one(&server.url).fetch_badly(remedy);
        assert_eq!(server.requests().len(), 1, "{status} will not change by asking again");
    }
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = Server::start(|request, number| match number {
        0 => Reply::status(503),
        1 => Reply::status(429),
        _ => Reply::good(request, &content()),
    });
    DataSet::of_one(&server.url).fetch_well();
}

#[test]
fn nobody_there_is_told_as_such() {
    let unused = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    DataSet::of_one(&unused).fetch_badly("repeat the command");
}

#[test]
fn a_killed_fetch_goes_on_from_what_it_had() {
    let server = Server::start(|request, number| {
        let pause = Duration::from_millis(if number == 0 { 50 } else { 0 });
        Reply { pause, ..Reply::good(request, &content()) }
    });
    let set = DataSet::of_one(&server.url);
    let mut fetch =
        set.command(&FETCH).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let part = set.archive("a.zip.part");
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::metadata(&part).map_or(0, |about| about.len()) < 20_000 {
        assert!(Instant::now() < deadline, "nothing arrives");
        sleep(Duration::from_millis(5));
    }
    // Somebody else may not write to the same file meanwhile.
    let output = set.fetch();
    assert!(said(&output).contains("being written by another fetch"), "{}", said(&output));
    fetch.kill().unwrap();
    fetch.wait().unwrap();
    assert!(!set.archive("a.zip").exists());
    set.fetch_well();
    assert!(server.requests().last().unwrap().first.is_some_and(|first| first >= 20_000));
}

/// The shell's limit on the length of files stands for a disk that is full: the write fails half-way.
#[cfg(unix)]
#[test]
fn a_write_that_fails_keeps_what_came_and_goes_on_later() {
    let server = Server::start(|request, _| Reply::good(request, &content()));
    let set = DataSet::of_one(&server.url);
    // 100 blocks of 512 or 1024 bytes, as the shell has it; the signal is ignored so that the write fails.
    let limited = "trap '' XFSZ; ulimit -f 60; exec \"$0\" \"$@\"";
    let xtask = env!("CARGO_BIN_EXE_xtask");
    let output = set.command_in(Path::new("sh"), &["-c", limited, xtask], &FETCH).output().unwrap();
    let text = said(&output);
    assert!(!output.status.success() && text.contains("Free space"), "{text}");
    assert!(!set.archive("a.zip").exists());
    let kept = fs::metadata(set.archive("a.zip.part")).unwrap().len();
    assert!((1..100_000).contains(&kept), "{kept} bytes kept");
    set.fetch_well();
    assert_eq!(server.requests().last().unwrap().first, Some(kept as usize));
}

/// A file system of one megabyte, in a mount namespace of its own: refused before the first byte is asked for.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_without_room_is_refused_before_the_first_byte() {
    let can_mount = Command::new("unshare")
        .args(["-rm", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"])
        .stderr(Stdio::null())
        .status();
    if !can_mount.is_ok_and(|status| status.success()) {
        println!("SKIPPED: file systems cannot be mounted here");
        return;
    }
    let server = Server::start(|request, _| Reply::good(request, &content()));
    let set = DataSet::of_one(&server.url);
    fs::create_dir(set.data()).unwrap();
    let data = set.data();
    let mount = format!("mount -t tmpfs -o size=1m none '{}'; exec \"$0\" \"$@\"", data.display());
    let before = ["-rm", "sh", "-c", &mount, env!("CARGO_BIN_EXE_xtask")];
    let output = set.command_in(Path::new("unshare"), &before, &FETCH).output().unwrap();
    let text = said(&output);
    assert!(!output.status.success() && text.contains("MB free"), "{text}");
    assert!(server.requests().is_empty());
}

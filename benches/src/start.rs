//! How long it takes from the start of the process until it answers.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::bail;
use azwi_tests::binaries::binary;
use azwi_tests::process::Process;

use crate::report::{Limit, Quantity, Row};
use crate::stage::{ARGUMENTS, Stage};
use crate::statistics::median;

/// Far longer than a start takes; only one that fails meets it.
const PATIENCE: Duration = Duration::from_secs(10);
const READY: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

pub(crate) fn measure(stage: &Stage, starts: usize) -> anyhow::Result<Vec<Row>> {
    let (mut sidecars, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..starts {
        sidecars.push(started(stage, sidecar)?);
        floors.push(started(stage, floor)?);
    }
    let row = |figure, times: Vec<f64>| Row::new(figure, Quantity::new(median(times) * 1e3, "ms"));
    Ok(vec![row("from start to /readyz 200", sidecars).limit(Limit::AtMost(3.0)), row("the same of the floor", floors)])
}

/// In seconds, until the first good answer.
fn started(stage: &Stage, command: fn(&Stage, u16) -> anyhow::Result<Command>) -> anyhow::Result<f64> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut command = command(stage, port)?;
    let (process, begun) = stage.cores.on_the_servers(|| {
        let begun = Instant::now();
        Ok((Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::piped()))?, begun))
    })?;
    while !is_ready(port).unwrap_or(false) {
        if begun.elapsed() > PATIENCE {
            bail!("process {} does not answer on port {port}", process.id());
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}

fn sidecar(stage: &Stage, port: u16) -> anyhow::Result<Command> {
    let mut command = Command::new(binary("azwi-proxy")?);
    command.env_clear().envs(stage.environment()).args(ARGUMENTS).arg(format!("--proxy-port={port}"));
    Ok(command)
}

fn floor(stage: &Stage, port: u16) -> anyhow::Result<Command> {
    let answer = stage.path("ok");
    fs::write(&answer, OK)?;
    let mut command = Command::new(binary("bench-floor")?);
    command.arg(answer).arg(port.to_string());
    Ok(command)
}

fn is_ready(port: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(READY)?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.ends_with(b"200"))
}

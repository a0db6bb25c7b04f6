//! Processes, as `ps`, `top`, `pgrep` and `killall` see them.

use super::{
    super::{Shell, calendar::Date, machine::started_text, run::Io},
    Run,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "ps" => ps,
        "top" => top,
        "pgrep" | "pidof" => pgrep,
        "pkill" | "killall" => killall,
        _ => return None,
    })
}

fn ps(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let flags: String = args[1..].concat();
    let (machine, user, now) = (shell.machine.clone(), shell.frame.user.clone(), shell.now);
    let pid = machine.shell_pid();
    let list = machine.processes(shell.tty, pid, &user);
    let own = format!("ps {}", args[1..].join(" ")).trim_end().to_owned();
    let tty = if shell.tty { "pts/0" } else { "?" };
    let total = machine.memory(now).total;
    let mut text = String::new();
    if flags.contains('u') && flags.contains(['a', 'x']) {
        text.push_str(
            "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n",
        );
        for p in &list {
            let memory = f64::from(p.rss) * 100.0 / total as f64;
            text.push_str(&format!(
                "{:<8} {:>7}  0.0 {memory:>4.1} {:>6} {:>5} {:<8} {:<4} {:>5}   0:00 {}\n",
                p.user,
                p.pid,
                p.vsz,
                p.rss,
                p.tty,
                p.state,
                started_text(p.started, now),
                p.command
            ));
        }
        text.push_str(&format!(
            "{user:<8} {:>7}  0.0  0.1  11084  4312 {tty:<8} R+   {}   0:00 {own}\n",
            pid + 8,
            Date::of(now).format("%H:%M")
        ));
    } else if flags.contains('e') || flags.contains('A') {
        let full = flags.contains('f');
        text.push_str(if full {
            "UID          PID    PPID  C STIME TTY          TIME CMD\n"
        } else {
            "    PID TTY          TIME CMD\n"
        });
        for p in &list {
            text.push_str(&if full {
                format!(
                    "{:<8} {:>7} {:>7}  0 {} {:<8} 00:00:00 {}\n",
                    p.user,
                    p.pid,
                    p.parent,
                    started_text(p.started, now),
                    p.tty,
                    p.command
                )
            } else {
                format!("{:>7} {:<8} 00:00:00 {}\n", p.pid, p.tty, p.name())
            });
        }
    } else {
        text.push_str("    PID TTY          TIME CMD\n");
        text.push_str(&format!(
            "{pid:>7} {tty:<8} 00:00:00 bash\n{:>7} {tty:<8} 00:00:00 ps\n",
            pid + 8
        ));
    }
    shell.say(io, text);
    0
}

fn top(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    let memory = shell.machine.memory(shell.now);
    let user = shell.frame.user.clone();
    let list = shell.machine.processes(shell.tty, shell.machine.shell_pid(), &user);
    let mib = |kib: u64| kib as f64 / 1024.0;
    let mut text = format!(
        "top - {}\nTasks: {:>3} total,   1 running, {:>3} sleeping,   0 stopped,   0 zombie\n\
         %Cpu(s):  0.0 us,  0.3 sy,  0.0 ni, 99.7 id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st \n\
         MiB Mem : {:>8.1} total, {:>8.1} free, {:>8.1} used, {:>8.1} buff/cache     \n\
         MiB Swap: {:>8.1} total, {:>8.1} free,      0.0 used. {:>8.1} avail Mem \n\n    PID \
         USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND\n",
        shell.uptime_line(),
        list.len(),
        list.len() - 1,
        mib(memory.total),
        mib(memory.free),
        mib(memory.used),
        mib(memory.buffers + memory.cached),
        mib(memory.swap),
        mib(memory.swap),
        mib(memory.available),
    );
    for p in list.iter().take(17) {
        let name = p.name();
        let share = p.rss / 2;
        text.push_str(&format!(
            "{:>7} {:<8}  20   0 {:>7} {:>6} {share:>6} {}   0.0 {:>5.1}   0:00.00 {name}\n",
            p.pid,
            p.user,
            p.vsz,
            p.rss,
            &p.state[..1],
            f64::from(p.rss) * 100.0 / memory.total as f64
        ));
    }
    shell.say(io, text);
    0
}

fn pgrep(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let Some(name) = args[1..].iter().rfind(|arg| !arg.starts_with('-')) else { return 2 };
    let user = shell.frame.user.clone();
    let list = shell.machine.processes(shell.tty, shell.machine.shell_pid(), &user);
    let hits: Vec<String> = list
        .iter()
        .filter(|p| p.command.contains(name.as_str()))
        .map(|p| p.pid.to_string())
        .collect();
    if hits.is_empty() {
        return 1;
    }
    let gap = if args[0].ends_with("pidof") { " " } else { "\n" };
    shell.say(io, format!("{}\n", hits.join(gap)));
    0
}

fn killall(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let Some(name) = args[1..].iter().rfind(|arg| !arg.starts_with('-')).cloned() else { return 1 };
    let user = shell.frame.user.clone();
    let list = shell.machine.processes(shell.tty, shell.machine.shell_pid(), &user);
    let found = list.iter().any(|p| p.command.contains(name.as_str()));
    if !found && args[0].ends_with("killall") {
        shell.warn(io, format!("{name}: no process found"));
    }
    u8::from(!found)
}

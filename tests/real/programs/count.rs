// SPDX-License-Identifier: MIT
use std::{thread, time::Duration};

fn main() {
    for _ in 0..4 {
        thread::spawn(|| loop {
            let garbage = vec![1u8; 100_000];
            thread::sleep(Duration::from_millis(garbage[0] as u64));
        });
    }
    for n in 0u64.. {
        println!("{}", n);
        thread::sleep(Duration::from_millis(20));
    }
}

//! Random lives on a disk that lies at random, each from a seed, against the model.

use crate::model::{Model, Way, big, key, small};
use bytes::Bytes;
use store::{FileKey, Kind};
use testkit::LyingDisk;

/// Lives, and steps in each. About two seconds.
const LIVES: u64 = 40;
const STEPS: usize = 40;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }

    fn module(&mut self) -> &'static str {
        ["example.com/a", "example.com/b", "example.com/c"][self.roll(3) as usize]
    }

    fn version(&mut self) -> &'static str {
        ["v1.0.0", "v1.0.1"][self.roll(2) as usize]
    }

    fn key(&mut self) -> FileKey {
        let kind = [Kind::Info, Kind::Mod, Kind::Zip][self.roll(3) as usize];
        key(self.module(), self.version(), kind)
    }

    /// Few contents, so that names share them and ask for the same again.
    fn content(&mut self) -> Bytes {
        match self.roll(4) {
            0 => big(1),
            1 => big(2),
            n => small(&"x".repeat(n as usize * 1000)),
        }
    }

    fn way(&mut self) -> Way {
        [Way::Memory, Way::Spool][self.roll(2) as usize]
    }
}

async fn step(model: &mut Model, dice: &mut Dice) {
    match dice.roll(20) {
        0..=9 => {
            let (key, content, way) = (dice.key(), dice.content(), dice.way());
            model.keep(&key, &content, way).await;
        }
        10 | 11 => {
            let question = ["list", "latest", "=main"][dice.roll(3) as usize];
            let body = small(&dice.roll(1000).to_string());
            model.answer(dice.module(), question, &body).await;
        }
        12 | 13 => {
            let version = (dice.roll(2) == 0).then(|| dice.version());
            let files = dice.roll(3) > 0;
            model.forget(dice.module(), version, files).await;
        }
        14 | 15 => model.mark(&dice.key()).await,
        16 => model.reopen(),
        17 => model.sums(&small(&dice.roll(1000).to_string())).await,
        _ => model.look(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_life_on_any_disk_keeps_the_promises() {
    let mut lies = 0;
    for seed in 0..LIVES {
        println!("seed {seed}");
        let mut dice = Dice(seed * 7919 + 1);
        let mut model = Model::open(LyingDisk::new());
        model
            .disk()
            .lie_at_random(seed * 104_729 + 3, 4 + seed % 20);
        for _ in 0..STEPS {
            step(&mut model, &mut dice).await;
        }
        lies += model.disk().lies();
        model.verify().await;
    }
    assert!(lies > LIVES, "{lies} lies");
}

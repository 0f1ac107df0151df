//! Cuts the power of a server at many points of its work; see `granary_tests::power`.

#![expect(clippy::print_stdout, reason = "a command line")]

use clap::{Parser, ValueEnum};
use granary_tests::power::{Part, Recording, Scene};

/// Cut the power of a server at many points of its work
#[derive(Parser)]
struct Arguments {
    /// At how many points, beside those just after answers that showed more
    #[arg(long, default_value_t = 500)]
    points: usize,
    /// What chance is made of
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the server does, unless all
    #[arg(long, value_enum)]
    scene: Option<Scene>,
    /// Leave the syncs of this part out, and say what it comes to
    #[arg(long, value_enum)]
    without: Option<Part>,
    /// Go on where a point does not hold, and say how many do not
    #[arg(long)]
    go_on: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let scenes = match arguments.scene {
        Some(scene) => vec![scene],
        None => Scene::value_variants().to_vec(),
    };
    for scene in scenes {
        println!("{scene:?}, seed {}", arguments.seed);
        let recording = Recording::of(scene, arguments.seed).await?;
        match arguments.without {
            Some(part) => println!(
                "{}",
                recording.without(part, arguments.points, arguments.seed).await?
            ),
            None if arguments.go_on => {
                let (all, failed) = recording.failures(arguments.points, arguments.seed).await?;
                println!("{}", failed.join("\n\n"));
                println!("{} of {all} points do not hold", failed.len());
            }
            None => println!("{:#?}", recording.cut(arguments.points, arguments.seed).await?),
        }
    }
    Ok(())
}

//! Looking a cached token up: `cargo bench -p azwi-proxy --features bench --bench lookup`.

use std::hint::black_box;

use azwi_proxy::lookup::Lookup;

fn main() {
    divan::main();
}

/// One after another, so that a thousand tokens are read from further away than a few.
#[divan::bench(args = [1, 100, 1000])]
fn hit(bencher: divan::Bencher<'_, '_>, tokens: usize) {
    let Ok(lookup) = Lookup::among(tokens) else { return };
    let mut number = 0;
    bencher.bench_local(move || {
        number = (number + 1) % tokens;
        lookup.hit(black_box(number))
    });
}

//! A step of Adam: the bits of its specification, on every instruction set and number of threads.
mod common;

use common::{each_set, noise};
use rayon::ThreadPoolBuilder;
use udas_kernels::{AdamStep, on_pool, reference, with_instruction_set};

#[test]
fn a_step_has_the_bits_of_its_specification() {
    let step = AdamStep { step_size: 1e-3, beta1: 0.9, beta2: 0.999, root: 31.0, epsilon: 1e-8 };
    for len in [0, 1, 17, 16_384, 50_001] {
        let gradient = noise(len, 1);
        let start = [noise(len, 2), noise(len, 3), noise(len, 4).iter().map(|v| v * v).collect()];
        let mut expected = start.clone();
        let [value, first, second] = &mut expected;
        (0..3).for_each(|_| reference::adam_step(&step, value, &gradient, first, second));
        each_set(|set| {
            for threads in [1, 3] {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut found = start.clone();
                let [value, first, second] = &mut found;
                let mut run = || {
                    (0..3).for_each(|_| step.apply(value, &gradient, first, second));
                };
                pool.install(|| on_pool(|| with_instruction_set(set, &mut run)));
                assert!(found == expected, "{len} values with {} and {threads}", set.name());
            }
        });
    }
}

#[test]
#[should_panic(expected = "another length")]
fn lengths_must_agree() {
    let step = AdamStep { step_size: 1.0, beta1: 0.9, beta2: 0.9, root: 1.0, epsilon: 1.0 };
    step.apply(&mut [0.0; 2], &[0.0; 2], &mut [0.0; 2], &mut [0.0; 3]);
}

//! `brief`: allocates a little, and ends: what most spawned actors do at the least.

fn main() {
    let numbers: Vec<u64> = (0..64).collect();
    assert_eq!(std::hint::black_box(&numbers).iter().sum::<u64>(), 2_016);
}

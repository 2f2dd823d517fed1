//! Weaknesses of earlier actor runtimes that are not to come back: one file for each group, named w and its number.

mod w02_ceiling;
mod w03_attenuation;
mod w03_network_gate;
mod w04_exit_codes;
mod w05_bad_bincode;
mod w05_hostile_guests;
mod w06_blocking;
mod w07_order;
mod w10_preemption;

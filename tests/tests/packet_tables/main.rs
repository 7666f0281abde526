//! The packet programs by tables: packets in, verdicts, packets out and counters, through BPF_PROG_TEST_RUN on the very
//! programs that the agent attaches. Needs root.

mod bystanders;

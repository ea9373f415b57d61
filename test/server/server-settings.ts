/** How servers of tests are set beyond what they have from the launcher. */
export const SERVER_SETTINGS: Readonly<Record<string, string | number | boolean>> = {
  // A run waits until what its snapshot saw is on the server's disk, which on an idle server comes with the log writer's next round.
  wal_writer_delay: '10ms',
}

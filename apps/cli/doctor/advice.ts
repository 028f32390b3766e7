/** What to do about each finding of the doctor. */
import { JOURNAL_NOTICES, type JournalCheck, type JournalNotice } from '../../../core/application/doctor/check-journal.ts';
import type { ServerFinding } from '../../../core/config/config.ts';
import type { StoreFinding } from '../../../core/application/doctor/check-store.ts';

export type DoctorCheck =
  StoreFinding['check'] | ServerFinding['check'] | JournalCheck | JournalNotice | MachineCheck | ConfigCheck | HubCheck | LinkCheck;

type ConfigCheck = 'config' | 'cannot_check' | 'wake_runner' | 'wake_runner_warning' | 'trusted_key' | 'trusted_key_expires';
type MachineCheck = 'data_dir' | 'disk_full' | 'open_files' | 'secret_file' | 'clock';
type HubCheck =
  'certificate' | 'certificate_expires' | 'hub_never_started' | 'storage' | 'port_taken' | 'listen' | 'not_kept' | 'not_checked';
/** About a connection to a hub. */
type LinkCheck =
  | 'hub_away'
  | 'hub_tls'
  | 'hub_certificate'
  | 'hub_name'
  | 'hub_other'
  | 'hub_degraded'
  | 'hub_version'
  | 'hub_proof'
  | 'token'
  | 'no_token'
  | 'enrol_secret'
  | 'agent_id_in_use'
  | 'device_key'
  | 'cli_token';

const NOTICES: ReadonlySet<DoctorCheck> = new Set<DoctorCheck>([
  ...JOURNAL_NOTICES,
  'hub_never_started',
  'certificate_expires',
  'trusted_key_expires',
  'wake_runner_warning',
  'hub_version',
  'not_kept',
  'not_checked',
  'not_durable',
  'no_notifications',
]);

/** Whether nothing is broken. */
export const isNotice = (check: DoctorCheck): boolean => NOTICES.has(check);

const RESTORE = 'stop the hub and restore the newest good backup with `agentcom restore FILE --force` (for Postgres see docs/moving.md)';
const CANCEL = 'Check it with `agentcom show TASK`, then `agentcom cancel TASK` and submit it again';

const ADVICE: Readonly<Record<DoctorCheck, string>> = {
  config: 'Correct the config, and run `agentcom doctor` again.',
  cannot_check: 'Fix what the message names, and run `agentcom doctor` again as the user of the hub or sidecar.',
  not_kept: 'Use sqlite({ file }) to keep tasks when the hub ends.',
  not_checked: 'Ask the author of that storage how to check it.',
  not_durable:
    'Turn it on for the server, the database or the user in storage.url. A standby has all acknowledged tasks only if it is synchronous.',
  no_notifications:
    'Connect hubs to the server directly, or through a pooler in session mode: transaction mode drops LISTEN. A single hub needs nothing.',
  read_only: 'Set storage.url to the primary, or turn default_transaction_read_only off. Until then no hub starts on it.',
  storage: 'Fix what the message names, and run `agentcom doctor` again as the user of the hub.',
  schema: 'Set hub.dataDir or hub.storage to the database of this hub, or to a new file.',
  schema_newer: 'Install that version of agentcom or a later one, or restore a backup made before it: `agentcom restore FILE --force`.',
  schema_older: 'Start the hub once: it migrates the database.',
  schema_unfinished: 'Run `agentcom migrate` again with --empty-target, or use the store that it was copying from.',
  file: `The disk or the memory of this machine damaged the file: ${RESTORE}. Without a backup, save what can be read with \`sqlite3 FILE .recover\`. Check the disk before you start the hub again.`,
  store_id:
    'The next start of a hub makes a new ID, and sidecars that reconnect treat the store as a restored one (docs/moving.md, "The store ID"). Something other than the hub changed the database: find out what else is missing.',
  unreadable: `The hub cannot read it either: ${RESTORE}.`,
  body: `No agent can run it, but it takes a slot of one again and again, until hub.timing.acceptMs is over. Run \`agentcom cancel TASK\` and submit it again from its source. If there are many: ${RESTORE}.`,
  result: `A result that an agent reported is lost: that of a completed task, or a late or refused one, which can then not be adopted. If you need it, submit the task again. If there are many: ${RESTORE}.`,
  dependency:
    'It will not be unblocked when its dependencies complete. Run `agentcom cancel TASK`, and submit it again without `depends_on` once they have completed.',
  copies: `The hub finds tasks and agents by this column. ${CANCEL}. For an agent: restart its sidecar, which rewrites its row.`,
  counts:
    'No task is wrong, but the numbers in `agentcom stats` are, and hub.limits.endedTasks uses them; they do not recover. Stop the hubs, and run in the database: DELETE FROM task_counts; INSERT INTO task_counts SELECT status, lane, count(*) FROM tasks GROUP BY status, lane. Find out who else wrote to it.',
  orphan: `Its task was removed by something other than the hub. The row does no harm. If you miss the task: ${RESTORE}.`,
  due: `The sweeper will not notice its deadline. ${CANCEL}; cancelling stops a running agent.`,
  audit:
    'Something other than a hub changed the audit log, or it was lost: entries from there on prove nothing. Keep a copy of the database, find out who can write to it, and compare it with your newest export (`agentcom audit verify FILE`) or a backup. The hub keeps recording, and the break remains until its entries are removed with age.',
  I1: `Neither the row nor the history can be trusted. ${CANCEL}, unless the history shows that it ended. If there are many: ${RESTORE}.`,
  I2: `An older assignment could pass for a newer one. ${CANCEL}. Something else changed the data, or it has gone back in time: ${RESTORE}.`,
  I3: `It would never be reclaimed from an agent that is gone. ${CANCEL}. To recreate a missing agent: \`agentcom tokens create --agent AGENT\`.`,
  I4: 'The agent got more tasks than it has slots. They end by themselves or at their run limit. Please report this: it is a bug in the hub.',
  I5: 'It ended twice; the first end is the one that was reported. Please report this with the output of `agentcom show TASK --json`: it is a bug in the hub, or something else changed the history.',
  I6: 'A session that had ended changed it. Compare its result with what its agent did. Please report this: it is a bug in the hub.',
  I7: `It may run more or fewer times than it should. ${CANCEL}.`,
  I8: 'It is in the dead-letter queue without a reason. `agentcom retry TASK` starts a new round; there is no need to cancel it.',
  I9: `It would wait forever, or runs before its dependencies. ${CANCEL}, in the right order.`,
  I10: `A repeated submit with this key would be answered with a task that does not exist. Use another key. If you miss the task: ${RESTORE}.`,
  I11: 'It is long overdue. Restart the hub; if this remains, please report it.',
  I12: 'It is waiting although an agent is free. Restart the hub; if this remains, please report it.',
  I13: 'It was assigned before its turn. There is nothing to do, but please report it.',
  I14: `Its history has a gap, and streams that were resumed there missed an event; or the task itself is gone. If you miss the task, or if there are many: ${RESTORE}.`,
  I15: 'The pending stop would end a valid run. Stop the sidecar of that agent for longer than the reconnect grace: the stop is then dropped and the task reassigned.',
  I16: 'Anyone who follows the events of this agent sees an outdated state. Its next event corrects that. Please report this: it is a bug in the hub.',
  journal_copy: 'There is nothing to do: at its next start the sidecar reads the previous copy and sets this one aside. Check the disk.',
  journal_previous: 'There is nothing to do: the next save rewrites it. Check the disk.',
  journal_lost:
    'The sidecar does not start with it. Keep a copy of the folder. Then restore a good queue.json together with the ended-*.log and the files of held/ that it names, or give the sidecar an empty dataDir: the hub reclaims its tasks after the reconnect grace.',
  journal_unknown: 'Start the version of agentcom that wrote it.',
  report_lost: 'The sidecar will report the run as lost, which uses up a retry. If the agent did the work, check its results folder first.',
  results_lost: 'The agent cannot report through files. Stop the run with `agentcom cancel TASK`, or wait for its silence limit.',
  instance_id:
    'The next start creates a new one, and the hub accepts it once the old one has been gone for the reconnect grace. `agentcom takeover AGENT` is faster.',
  open_to_others: 'Run chmod 700 on the folder: it holds tasks, results and a token. The sidecar does not start with it as it is.',
  never_started:
    'If a sidecar should run here, see in its log whether it reaches the hub, and check sidecar.dataDir. Otherwise there is nothing to do.',
  no_reserve: 'The sidecar creates it at its start, and while it runs once 16 MiB are free. If it runs, free disk space.',
  set_aside: 'A file was damaged on disk. Check whether anything is missing, then remove what was set aside.',
  refused:
    'Check it: it may be finished work. `agentcom show TASK` shows what became of the task, unless the hub has no such task (`unknown_task`), for example after a restore. Remove the file afterwards.',
  data_dir: 'Give the folder to the user of the program (`chown`), or choose another dataDir.',
  data_dir_held: 'Give each sidecar a sidecar.dataDir of its own, or stop that process.',
  secret_file: 'Run `chmod 600` on the file.',
  disk_full: 'Free disk space.',
  open_files: 'Raise the limit: `ulimit -n 65536` in the shell that starts it, or LimitNOFILE=65536 in its systemd unit.',
  certificate: 'Correct hub.listen.tls, or renew the certificate.',
  certificate_expires: 'Renew it. The hub loads the new files without a restart.',
  hub_never_started: 'If no hub ran here, there is nothing to do. Otherwise correct hub.dataDir.',
  port_taken: 'Stop that program, or set another hub.listen.port.',
  listen: 'Correct hub.listen.',
  hub_away: 'Start the hub, or correct its address. If it is on another machine, check the firewall and the proxy.',
  hub_tls: 'Correct the scheme of the address.',
  hub_certificate:
    'If it has expired, renew it. If its CA is your own, set sidecar.tls.caFile to the certificate of that CA. If it is for another name, use that name. If it is self-signed, set sidecar.tls.fingerprints, or AGENTCOM_HUB_FINGERPRINT, to what `agentcom tls fingerprint` prints on the machine of the hub.',
  hub_name: 'Add the name to hub.listen.names in the config of the hub, and restart it.',
  hub_other: 'Correct the address, or start the hub there.',
  hub_degraded:
    'On the machine of the hub run `agentcom doctor`, and read the log of the hub: `storage cannot commit` says why, usually a full disk or a database that is away. Nothing acknowledged is lost; clients and sidecars retry.',
  hub_version: 'Install the same version on both, the hub first, and restart what was updated.',
  hub_proof: 'Correct sidecar.hubs, and update the hub. To send it the token anyway, set sidecar.plainToken: true. The token was not sent.',
  token: "On the hub's machine run `agentcom tokens create --agent AGENT`, and restart the sidecar with that token.",
  no_token: "On the hub's machine run `agentcom tokens create --agent AGENT`, and set AGENTCOM_TOKEN here.",
  enrol_secret: "On the hub's machine run `agentcom invite`, set AGENTCOM_ENROL_SECRET to what it prints, and start the sidecar.",
  agent_id_in_use: 'Stop the other sidecar, or give this one an agent ID, a token and a data directory of its own.',
  device_key: 'Restore the key file. If it is lost, an operator has to run `agentcom takeover AGENT`.',
  cli_token: 'Correct the token.',
  clock: 'Set the clock, preferably with NTP (`timedatectl set-ntp true`). A running sidecar then takes tasks again by itself.',
  trusted_key:
    'Correct sidecar.accept.signedBy: `agentcom keys show FILE` prints the public key of a private key. A sidecar does not start with a key that it cannot read, and rejects tasks signed with one that has expired.',
  trusted_key_expires: 'Create another key with `agentcom keys init`, trust both, and sign with the new one.',
  wake_runner_warning: 'Fix what the message names, or correct sidecar.wake in the config. The sidecar starts anyway.',
  wake_runner: 'Fix what the message names, or correct sidecar.wake in the config.',
};

/** What to do about it, in a sentence or two. */
export const adviceFor = (check: DoctorCheck): string => ADVICE[check];

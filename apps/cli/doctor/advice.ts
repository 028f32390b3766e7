/** What to do about each finding of the doctor. */
import type { MachineCheck } from './examine-machine.ts';
import type { JournalCheck, JournalNotice } from '../../../core/application/doctor/check-journal.ts';
import type { ServerFinding } from '../../../core/config/config.ts';
import type { StoreFinding } from '../../../core/application/doctor/check-store.ts';

export type DoctorCheck =
  | StoreFinding['check']
  | ServerFinding['check']
  | JournalCheck
  | JournalNotice
  | 'cannot_look'
  | 'wake_runner'
  | MachineCheck
  | 'not_kept'
  | 'not_looked_at';

const RESTORE = 'stop the hub and restore the newest good backup with `agentcom restore FILE --force` (for Postgres see docs/moving.md)';
const CANCEL = 'Check it with `agentcom show TASK`, then `agentcom cancel TASK` and submit it again';

const ADVICE: Readonly<Record<DoctorCheck, string>> = {
  cannot_look:
    'Fix what the message names: a path or its permissions, or the address, login or state of a database server. Run the doctor as the user of the hub or sidecar.',
  not_kept: 'Use sqlite({ file }) to keep tasks when the hub ends.',
  not_looked_at: 'Ask the author of that storage how to check it.',
  not_durable:
    'Turn it on for the server, the database or the user in storage.url. A standby has all acknowledged tasks only if it is synchronous.',
  no_notifications:
    'Connect hubs to the server directly, or through a pooler in session mode: transaction mode drops LISTEN. A single hub needs nothing.',
  schema:
    'If it is newer: run that version. If it is older: start the hub once to migrate it. If it is only part of a store: run `agentcom migrate` again with --empty-target. If it is not a database of a hub: correct hub.storage.',
  file: `The disk or the memory of this machine damaged the file: ${RESTORE}. Without a backup, save what can be read with \`sqlite3 FILE .recover\`. Check the disk before you start the hub again.`,
  unreadable: `The hub cannot read it either: ${RESTORE}.`,
  body: `It cannot be assigned. Run \`agentcom cancel TASK\` and submit it again from its source. If there are many: ${RESTORE}.`,
  result: 'The task did complete, but its result is lost. If you need it, submit the task again.',
  dependency:
    'It will not be unblocked when its dependencies complete. Run `agentcom cancel TASK`, and submit it again without `depends_on` once they have completed.',
  copies: `The hub finds tasks and agents by this column. ${CANCEL}. For an agent: restart its sidecar, which rewrites its row.`,
  counts:
    'Only the numbers in `agentcom stats` are wrong, no task is. You need not do anything, but find out who else wrote to the database.',
  orphan: `Its task was removed by something other than the hub. The row does no harm. If you miss the task: ${RESTORE}.`,
  due: `The sweeper will not notice its deadline. ${CANCEL}; cancelling stops a running agent.`,
  I1: `Neither the row nor the history can be trusted. ${CANCEL}, unless the history shows that it ended. If there are many: ${RESTORE}.`,
  I2: `An older assignment could pass for a newer one. ${CANCEL}. Something else changed the data, or it has gone back in time: ${RESTORE}.`,
  I3: `Nobody would reclaim it from an agent that is gone. ${CANCEL}. To recreate a missing agent: \`agentcom tokens create --agent AGENT\`.`,
  I4: 'The agent got more tasks than it has slots. They end by themselves or at their run limit. Please report this: it is a bug in the hub.',
  I5: 'It ended twice; the first end is the one that was reported. Please report this with the output of `agentcom show TASK --json`: it is a bug in the hub, or something else changed the history.',
  I6: 'A session that had ended changed it. Compare its result with what its agent did. Please report this: it is a bug in the hub.',
  I7: `It may run more or fewer times than it should. ${CANCEL}.`,
  I8: 'It is in the dead-letter queue without a reason. `agentcom retry TASK` starts a new round; you need not cancel it.',
  I9: `It would wait forever, or runs before its dependencies. ${CANCEL}, in the right order.`,
  I10: `A repeated submit with this key would be answered with a task that does not exist. Use another key. If you miss the task: ${RESTORE}.`,
  I11: 'It is long overdue. Restart the hub; if this remains, please report it.',
  I12: 'It is waiting although an agent is free. Restart the hub; if this remains, please report it.',
  I13: 'It was assigned before its turn. You need not do anything, but please report it.',
  I14: `Its history has a gap: streams that were resumed there missed an event. The task itself continues. If there are many: ${RESTORE}.`,
  I15: 'The stop would end a run that is wanted. Stop the sidecar of that agent for longer than the reconnect grace: the stop is then dropped and the task reassigned.',
  I16: 'Whoever watches this agent by its events sees an old state of it. It is right again with its next event. Please report this: it is a bug in the hub.',
  journal_copy: 'You need not do anything: at its next start the sidecar reads the previous copy and sets this one aside. Check the disk.',
  journal_previous: 'You need not do anything: the next save rewrites it. Check the disk.',
  journal_lost:
    'The sidecar does not start with it. Keep a copy of the folder. Then restore a good queue.json together with the ended-*.log that it names, or give the sidecar an empty dataDir: the hub reclaims its tasks after the reconnect grace.',
  journal_unknown: 'Start the version of agentcom that wrote it.',
  report_lost: 'The sidecar will report the run as lost, which spends a retry. If the agent did the work, check its results folder first.',
  results_lost: 'The agent cannot report through files. Stop the run with `agentcom cancel TASK`, or wait for its silence limit.',
  instance_id:
    'The next start creates a new one, and the hub accepts it once the old one has been gone for the reconnect grace. `agentcom takeover AGENT` is faster.',
  open_to_others: 'Run chmod 700 on the folder: it holds tasks, results and a token. The sidecar does not start with it as it is.',
  never_started: 'Nothing, if no sidecar ran here. Otherwise correct sidecar.dataDir.',
  no_reserve: 'Free disk space: the sidecar creates the file again once 16 MiB are free.',
  set_aside: 'The disk once damaged a file. Check whether you miss something, then remove it.',
  refused: 'Check it: it may be finished work. `agentcom show TASK` shows what became of the task. Remove the file afterwards.',
  data_dir: 'Give the folder to the user of the sidecar (chown), or choose another sidecar.dataDir.',
  disk_full: 'Free disk space: the sidecar takes no tasks until 16 MiB are free.',
  hub_away: 'Start the hub, or correct sidecar.hubs. If it is on another machine, check the firewall and the proxy.',
  hub_proof: 'Correct sidecar.hubs, and update the hub. To send it the token anyway, set sidecar.plainToken: true. The token was not sent.',
  token:
    "On the hub's machine run `agentcom tokens create --agent AGENT`. Put the token into AGENTCOM_TOKEN or the token file in sidecar.dataDir, and restart the sidecar.",
  clock: 'Set the clock, preferably with NTP (timedatectl set-ntp true). A running sidecar then takes tasks again by itself.',
  wake_runner: 'Fix what the message names, or correct sidecar.wake in the config.',
};

/** What to do about it, in a sentence or two. */
export const adviceFor = (check: DoctorCheck): string => ADVICE[check];

/** What to do about each thing that the doctor finds, in one place: the only sentences of its output that are not measured. */
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

const RESTORE = 'Stop the hub and put back the newest good backup: `agentcom restore FILE --force` (of Postgres: docs/moving.md)';
const CANCEL = 'Look at it with `agentcom show TASK`; then `agentcom cancel TASK` and submit it again';

const CURES: Readonly<Record<DoctorCheck, string>> = {
  cannot_look:
    'Correct what the sentence names: a path or its rights, or the address, the login or the state of a database server. Run the doctor as the user of the hub or sidecar.',
  not_kept: 'Choose sqlite({ file }) for tasks that outlive their hub.',
  not_looked_at: 'Ask whoever made that storage how it is checked.',
  not_durable:
    'Set it to on for the server, the database or the user of storage.url, and see that no standby is promised more than it has.',
  no_calls:
    'Let hubs reach the server itself, or a pooler that pools sessions: one that pools transactions swallows LISTEN. A single hub needs nothing.',
  schema:
    'Of a newer version: run that version. A step that was not taken: start the hub once, it takes it. Only a part of a store: run `agentcom migrate` again with --empty-target. No database of a hub: correct hub.storage.',
  file: `The disk or the memory of this machine damaged the file. ${RESTORE}; without one, save what can be read with \`sqlite3 FILE .recover\`. Check the disk before the hub runs again.`,
  unreadable: `What cannot be read is lost to the hub as well. ${RESTORE}.`,
  body: `It can be given to nobody. \`agentcom cancel TASK\`, and submit it again from where it came. If there are many: ${RESTORE}.`,
  result: 'The task did complete, what it answered is lost. If you need the answer, submit the task again.',
  dependency:
    'It will not be released when what it waits for completes. `agentcom cancel TASK` and submit it again, when what it depends on is completed without `depends_on`.',
  copies: `The hub looks tasks and agents up by the column. ${CANCEL}. For an agent: restart its sidecar, which writes its row anew.`,
  counts:
    'Only what `agentcom stats` shows is wrong; no task is. Nothing must be done. Somebody wrote to the file beside the hub: find out who.',
  orphan: `Its task was removed by something that is not the hub. The row does no harm; if the task is missed: ${RESTORE}.`,
  due: `The sweeper forgets its deadline. ${CANCEL}; a running agent is stopped by the cancel.`,
  I1: `Neither the row nor the history can be trusted alone. ${CANCEL}, unless the history shows that it ended; if there are many: ${RESTORE}.`,
  I2: `An older assignment could pass for a newer one. ${CANCEL}. The data was changed beside the hub, or fell back in time: ${RESTORE}.`,
  I3: `Nobody would take it back from an agent that is gone. ${CANCEL}; a missing agent comes back by \`agentcom tokens create --agent AGENT\`.`,
  I4: 'The agent was given more than it has slots for. Tasks there end by themselves or at their run limit; please report it, it is a bug of the hub.',
  I5: 'It ended twice; its first end is what was told to people. Please report it with the output of `agentcom show TASK --json`: it is a bug of the hub, or the history was changed beside it.',
  I6: 'A session that was over changed it. Compare its result with what its agent did; please report it, it is a bug of the hub.',
  I7: `It may run more often than it should, or less. ${CANCEL}.`,
  I8: 'It stands in the dead letter without a reason. `agentcom retry TASK` gives it a new round, `agentcom cancel` is not needed.',
  I9: `It would wait for ever, or runs before what it depends on. ${CANCEL}, in the right order.`,
  I10: `A repeat of that submit would be answered with a task that is not there. Submit it with another key; if the task is missed: ${RESTORE}.`,
  I11: 'Something should have happened to it long ago. Restart the hub; if it stays, please report it.',
  I12: 'It waits beside a free agent. Restart the hub; if it stays, please report it.',
  I13: 'It went before its turn. Nothing must be done; please report it.',
  I14: `Its history has a gap: streams that were resumed there missed something. The task itself goes on; if there are many: ${RESTORE}.`,
  I15: 'The stop would end a run that is wanted. Stop the sidecar of that agent for longer than the reconnect grace: the stop is dropped, and the task is given out again.',
  journal_copy: 'Nothing must be done: the sidecar reads the copy before it at its next start and sets this one aside. Check the disk.',
  journal_previous: 'Nothing must be done: the next save writes it anew. Check the disk.',
  journal_lost:
    'The sidecar does not start on it. Keep a copy of the folder, put back a queue.json that was good with the ended-*.log that it names, or give the sidecar an empty dataDir: the hub then takes its tasks back after the reconnect grace.',
  journal_unknown: 'Start the version of agentcom that wrote it.',
  report_lost:
    'The sidecar reports the run as lost, which spends a retry. If the agent did the work, look in its results folder before that.',
  results_lost: 'The agent cannot report by files. Stop the run with `agentcom cancel TASK`, or let it reach its silence limit.',
  instance_id:
    'The next start makes a new one, and the hub lets it in once the old one is gone for the reconnect grace; `agentcom takeover AGENT` is faster.',
  open_to_others: 'chmod 700 that folder: it holds tasks, results and a token. The sidecar does not start on it as it is.',
  never_started: 'Nothing, if no sidecar ran here; else correct sidecar.dataDir.',
  no_reserve: 'Make room on the disk: the sidecar makes the file again once 16 MiB are free.',
  set_aside: 'Look at it if you miss something, then remove it. It says that the disk damaged a file once.',
  refused: 'Look at it: it may be finished work. `agentcom show TASK` says what became of the task; remove the file when you have seen it.',
  data_dir: 'Give the folder to the user of the sidecar (chown), or name another in sidecar.dataDir.',
  disk_full: 'Make room: the sidecar takes no task before 16 MiB are free.',
  hub_away: 'Start the hub, or correct sidecar.hubs; between machines see that firewall and proxy let the port through.',
  hub_proof:
    'Correct sidecar.hubs, and update the hub; to give it the token all the same, set sidecar.plainToken: true. The token was not sent.',
  token:
    'On the machine of the hub: `agentcom tokens create --agent AGENT`; put it into AGENTCOM_TOKEN or the token file in sidecar.dataDir, and start the sidecar again.',
  clock: 'Set the clock, best by NTP (timedatectl set-ntp true). A running sidecar takes tasks again by itself.',
  wake_runner: 'Mend what the sentence names, or correct sidecar.wake of the config.',
};

/** The cure, as a sentence or two. */
export const cureOf = (check: DoctorCheck): string => CURES[check];

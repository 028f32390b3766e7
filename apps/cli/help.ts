/** What `--help` shows beyond the options: the commands under headings, and examples of each command. */
import type { Command } from 'commander';

/** The headings of `agentcom --help`, in its order. */
const HEADINGS: Readonly<Record<string, readonly string[]>> = {
  'Start:': ['quickstart', 'init', 'hub', 'sidecar', 'service'],
  'Tasks:': ['submit', 'list', 'show', 'why', 'watch', 'logs', 'top', 'stats', 'cancel', 'retry', 'adopt', 'import'],
  'Agents:': ['agents', 'push', 'drain', 'resume', 'takeover', 'forget', 'invite', 'join', 'report'],
  'Access:': ['tokens', 'whoami', 'keys', 'tls', 'audit'],
  'Store:': ['doctor', 'backup', 'restore', 'migrate'],
  'Programs:': ['schemas', 'completion'],
};

/** What a command is used for, and what to type, by its name. */
export const EXAMPLES: Readonly<Record<string, readonly (readonly [use: string, line: string])[]>> = {
  submit: [
    ['Submit a task and wait for its result', 'agentcom submit "Count the samples" --wait'],
    ['For an agent with a GPU, whenever there is time', 'agentcom submit "Train the model" --needs gpu --priority low'],
    ['Later, with a limit for its run', 'agentcom submit "Write the weekly report" --run-at +8h --run-max 30m'],
    ['Many tasks, one JSON object per line', 'agentcom submit --bulk tasks.ndjson'],
  ],
  list: [
    ['The newest tasks that are running', 'agentcom list --status assigned'],
    ['What failed since yesterday, for a program', 'agentcom list --status dead_letter --since 1d --json'],
  ],
  show: [['The last task that you submitted', 'agentcom show @last']],
  why: [
    ['Why a task is not running', 'agentcom why task-0197a5'],
    ['Why an agent gets no tasks', 'agentcom why worker-2'],
  ],
  watch: [
    ['Follow one task to its end', 'agentcom watch task-0197a5'],
    ['All failures, as they happen', 'agentcom watch --type dead_lettered'],
  ],
  logs: [
    ['Follow the output of a run', 'agentcom logs --follow task-0197a5'],
    ['Errors with their times', 'agentcom logs task-0197a5 --stream stderr --timestamps'],
  ],
  cancel: [
    ['Stop one task', 'agentcom cancel task-0197a5'],
    ['All tasks that wait for a GPU, after a confirmation', 'agentcom cancel --status queued --needs gpu'],
  ],
  retry: [
    ['Run a failed task again', 'agentcom retry task-0197a5'],
    ['All that one agent failed in the last hour', 'agentcom retry --failed-by worker-2 --since 1h'],
  ],
  push: [['An urgent task for one agent', 'agentcom push worker-2 "Roll back the release"']],
  drain: [['Before the maintenance of a machine', 'agentcom drain worker-2 --wait']],
  'tokens create': [
    ['For an agent', 'agentcom tokens create --agent worker-2 --capability code'],
    ['For a program that submits tasks, for 90 days', 'agentcom tokens create --role submitter --name nightly --expires 90d'],
  ],
  join: [['On the new machine', 'agentcom join https://hub.example.com:4000 CODE --agent worker-2 --capability code']],
  'service install': [['Start the hub with the machine', 'agentcom service install hub']],
  doctor: [
    ['What is wrong on this machine', 'agentcom doctor'],
    ['Also read every row of the store', 'agentcom doctor --fsck'],
  ],
  backup: [['While the hub runs', 'agentcom backup agentcom-backup.db']],
  restore: [['After the hub was stopped', 'agentcom restore agentcom-backup.db']],
  'report progress': [['From inside a run', 'agentcom report progress --percent 40 --message "4 of 10 files"']],
  'report complete': [['From inside a run', 'agentcom report complete "All tests pass"']],
};

export function addHelp(program: Command): void {
  const places = new Map(Object.entries(HEADINGS).flatMap(([heading, names]) => names.map((name) => [name, heading] as const)));
  const order = [...places.keys()];
  // Help lists headings and commands in the order of this list.
  (program.commands as Command[]).sort((a, b) => order.indexOf(a.name()) - order.indexOf(b.name()));
  for (const command of program.commands) {
    const heading = places.get(command.name());
    if (heading !== undefined) command.helpGroup(heading);
    addExamples(command, command.name());
  }
}

function addExamples(command: Command, name: string): void {
  const examples = EXAMPLES[name];
  if (examples !== undefined)
    command.addHelpText('after', `\nExamples:\n${examples.map(([use, line]) => `  # ${use}\n  ${line}\n`).join('')}`);
  for (const each of command.commands) addExamples(each, `${name} ${each.name()}`);
}

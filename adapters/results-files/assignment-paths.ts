/** Paths of an assignment's files, built only from a validated task id and generation. */
import { join } from 'node:path';
import type { TaskId } from '../../core/domain/ids.ts';
import { assignmentText } from '../../core/ports/assignment-name.ts';
import type { AssignmentId } from '../../core/domain/assignment/slot.ts';

export interface InboxFolders {
  /** Holds the assignment folders and the flat files. */
  readonly results: string;
  readonly runs: string;
  /** Task files for agents that poll. */
  readonly tasks: string;
  /** Flat files that belong to no assignment, each with its reason. */
  readonly refused: string;
}

export const foldersIn = (dataDir: string): InboxFolders => ({
  results: join(dataDir, 'results'),
  runs: join(dataDir, 'runs'),
  tasks: join(dataDir, 'tasks'),
  refused: join(dataDir, 'refused'),
});

/** The files that an agent writes. */
export const AGENT_FILES = ['started', 'json', 'progress'] as const;
export type AgentFile = (typeof AGENT_FILES)[number];

export interface AssignmentPaths {
  readonly resultsDir: string;
  readonly runDir: string;
  readonly taskFile: string;
  /** The published task before it is renamed to `published`. */
  readonly unpublished: string;
  readonly published: string;
  /** The published task, once an agent that polls has claimed it. */
  readonly claimed: string;
  /** Tells the agent that the assignment is gone. */
  readonly stop: string;
  /** In the assignment's own folder. */
  own(file: AgentFile): string;
  /** In the shared folder, for agents that know only one folder. */
  flat(file: AgentFile): string;
}

export function pathsOf(folders: InboxFolders, assignment: AssignmentId): AssignmentPaths {
  const text = assignmentText(assignment);
  const resultsDir = join(folders.results, text);
  const runDir = join(folders.runs, text);
  return {
    resultsDir,
    runDir,
    taskFile: join(runDir, 'task.json'),
    unpublished: join(runDir, 'published.json'),
    published: join(folders.tasks, `${text}.json`),
    claimed: join(resultsDir, `${text}.json`),
    stop: join(resultsDir, `${assignment.taskId}.stop`),
    own: (file) => join(resultsDir, `${assignment.taskId}.${file}`),
    flat: (file) => join(folders.results, `${assignment.taskId}.${file}`),
  };
}

const AGENT_FILE = /^(task-[0-9a-f]{16,64})\.(started|json|progress)$/;

/** The task and kind of an agent's file; null for any other name. */
export function readAgentFileName(fileName: string): { readonly taskId: TaskId; readonly file: AgentFile } | null {
  const [, taskId, file] = AGENT_FILE.exec(fileName) ?? [];
  return taskId === undefined ? null : { taskId: taskId as TaskId, file: file as AgentFile };
}

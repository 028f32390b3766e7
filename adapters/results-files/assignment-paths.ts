/** Where the files of an assignment are. Every path is built from a checked task id and generation, and nothing else. */
import { join } from 'node:path';
import type { TaskId } from '../../core/domain/ids.ts';
import { assignmentText } from '../../core/ports/assignment-name.ts';
import type { Assignment } from '../../core/domain/assignment/slot.ts';

export interface InboxFolders {
  /** Holds the folders of the assignments, and the flat names. */
  readonly results: string;
  readonly runs: string;
  /** Task files that an agent may take. */
  readonly tasks: string;
  /** Flat files that are nobody's, each with its reason. */
  readonly refused: string;
}

export const foldersIn = (dataDir: string): InboxFolders => ({
  results: join(dataDir, 'results'),
  runs: join(dataDir, 'runs'),
  tasks: join(dataDir, 'tasks'),
  refused: join(dataDir, 'refused'),
});

/** What an agent says by files. */
export const AGENT_FILES = ['started', 'json', 'progress'] as const;
export type AgentFile = (typeof AGENT_FILES)[number];

export interface AssignmentPaths {
  readonly resultsDir: string;
  readonly runDir: string;
  readonly taskFile: string;
  /** The published task, before it is moved to `published`. */
  readonly unpublished: string;
  readonly published: string;
  /** Says that the assignment is gone. */
  readonly stop: string;
  /** In the assignment's own folder. */
  own(file: AgentFile): string;
  /** In the one folder that simple agents know. */
  flat(file: AgentFile): string;
}

export function pathsOf(folders: InboxFolders, name: Assignment): AssignmentPaths {
  const text = assignmentText(name);
  const resultsDir = join(folders.results, text);
  const runDir = join(folders.runs, text);
  return {
    resultsDir,
    runDir,
    taskFile: join(runDir, 'task.json'),
    unpublished: join(runDir, 'published.json'),
    published: join(folders.tasks, `${text}.json`),
    stop: join(resultsDir, `${name.taskId}.stop`),
    own: (file) => join(resultsDir, `${name.taskId}.${file}`),
    flat: (file) => join(folders.results, `${name.taskId}.${file}`),
  };
}

const AGENT_FILE = /^(task-[0-9a-f]{16,64})\.(started|json|progress)$/;

/** The task and the kind of file that a file's name tells; null for any other name. */
export function readAgentFileName(fileName: string): { readonly taskId: TaskId; readonly file: AgentFile } | null {
  const [, taskId, file] = AGENT_FILE.exec(fileName) ?? [];
  return taskId === undefined ? null : { taskId: taskId as TaskId, file: file as AgentFile };
}

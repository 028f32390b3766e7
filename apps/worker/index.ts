/** Agents that are functions: a sidecar and its agent in one process. */
export { worker, type RunningWorker } from './running-worker.ts';
export type { WorkerEvent, WorkerLog, WorkerOptions } from './worker-options.ts';
export { TaskAborted, type Fence, type Handler, type HandlerContext, type Progress, type WorkerTask } from './handler.ts';
export { TaskFailure, type TaskFailureOptions } from './task-failure.ts';

import type { Command } from '../application/hub/batch/commands.ts';

export type FrameOf = (command: Command) => string;

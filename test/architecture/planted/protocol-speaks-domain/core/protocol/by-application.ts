import type { Command } from '../application/hub/commands.ts';

export type FrameOf = (command: Command) => string;

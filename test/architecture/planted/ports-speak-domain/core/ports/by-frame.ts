import type { HubFrame } from '../protocol/hub-frames.ts';

export type Says = (frame: HubFrame) => void;

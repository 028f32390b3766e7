export { step } from '../engine/step.ts';

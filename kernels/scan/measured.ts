import { type Measured, type MeasuredInputs, measuredOn } from "../common/measured.ts";
import {
  SCAN,
  SELECTIVE_SCAN,
  SELECTIVE_SCAN_BACKWARD,
  type SelectiveScanProblem,
} from "./grid.ts";
import { scan } from "./scan.ts";
import {
  selectiveScan,
  selectiveScanBackward,
  type SelectiveScanInputs,
} from "./selective_scan.ts";

/** What the family's tunables are measured on. */
export const SCAN_MEASURED: readonly Measured[] = [
  measuredOn(SCAN, (gpu, { batch, time, channels }, make) => {
    const shape = [batch, time, channels];
    const inputs = { decay: make.tensor(shape, 0.5, 1), input: make.tensor(shape) };
    return () => scan(gpu, inputs);
  }),
  measuredOn(SELECTIVE_SCAN, (gpu, problem, make) => {
    const inputs = selectiveOf(problem, make);
    return () => selectiveScan(gpu, inputs);
  }),
  measuredOn(SELECTIVE_SCAN_BACKWARD, (gpu, problem, make) => {
    const inputs = selectiveOf(problem, make);
    return () => selectiveScanBackward(gpu, { ...inputs, outputGradient: inputs.input });
  }),
];

function selectiveOf(
  { batch, time, channels, state }: SelectiveScanProblem,
  make: MeasuredInputs,
): SelectiveScanInputs {
  return {
    input: make.tensor([batch, time, channels]),
    delta: make.tensor([batch, time, channels], 0, 0.1),
    a: make.tensor([channels, state], -8, -1),
    b: make.tensor([batch, time, state]),
    c: make.tensor([batch, time, state]),
  };
}

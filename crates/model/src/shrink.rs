//! The same violation with less: what can be left out without losing it is left out, first halves, at last single acts.

use crate::act::Act;
use crate::explore::Trace;
use crate::space::Space;

impl Space {
    /// A trace to a violation of the same name, of which no single act can be left out.
    #[must_use]
    pub fn shrink(&self, trace: Trace) -> Trace {
        let mut best = trace;
        let mut size = best.disturbed.div_ceil(2).max(1);
        loop {
            let shorter = self.shrink_by(&mut best, size);
            if size == 1 && !shorter {
                return best;
            }
            size = size.div_ceil(2);
        }
    }

    /// Leaves out so many acts in a row wherever that can be; whether it could be anywhere.
    fn shrink_by(&self, best: &mut Trace, size: usize) -> bool {
        let (mut at, before) = (0, best.disturbed);
        while at < best.disturbed {
            let left_out = at..at + size;
            let happened = best.acts.iter().take(best.disturbed).enumerate();
            let fewer: Vec<Act> = happened.filter(|(at, _)| !left_out.contains(at)).map(|(_, act)| *act).collect();
            match self.replay(&fewer, |wanted, act| wanted == act) {
                Err(trace) if trace.violation.name == best.violation.name => *best = trace,
                _ => at += size,
            }
        }
        best.disturbed < before
    }
}

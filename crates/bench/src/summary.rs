//! Rounds brought together: medians, and ratios of what was measured in the same round.

use std::time::Duration;

use crate::report::{Figure, Latency, Line};

/// Adds to every line its cost beside those of the others of its round and workload.
pub(crate) fn compare(round: &mut [Line]) {
    let costs: Vec<_> =
        round.iter().map(|line| (line.workload.clone(), line.subject.clone(), cost(line))).collect();
    for line in round.iter_mut().filter(|line| line.subject.starts_with("hobnob")) {
        let others = costs.iter().filter(|(workload, subject, _)| {
            *workload == line.workload && *subject != line.subject && !subject.starts_with("hobnob,")
        });
        let own = cost(line);
        let ratio = |(_, subject, other): &(String, String, Option<f64>)| {
            let value = own? / (*other).filter(|other| *other > 0.0)?;
            Some(Figure { name: subject.clone(), value })
        };
        line.ratios = others.filter_map(ratio).collect();
    }
}

fn cost(line: &Line) -> Option<f64> {
    line.server_cpu.or(line.kib_per_session)
}

/// One line for each workload and subject: the median of each figure.
pub(crate) fn medians(lines: &[Line]) -> Vec<Line> {
    let mut done: Vec<Line> = Vec::new();
    for line in lines {
        let is_same = |other: &Line| {
            (&other.workload, &other.subject, other.sessions)
                == (&line.workload, &line.subject, line.sessions)
        };
        if !done.iter().any(is_same) {
            let same: Vec<_> = lines.iter().filter(|other| is_same(other)).collect();
            done.push(median_line(line, &same));
        }
    }
    done
}

fn median_line(first: &Line, lines: &[&Line]) -> Line {
    let of = |field: fn(&Line) -> Option<f64>| median(lines.iter().filter_map(|line| field(line)).collect());
    Line {
        acked: of(|line| line.acked),
        delivered: of(|line| line.delivered),
        ack: latency(lines, |line| line.ack),
        delivery: latency(lines, |line| line.delivery),
        server_cpu: of(|line| line.server_cpu),
        own_cpu: of(|line| line.own_cpu),
        kib_per_session: of(|line| line.kib_per_session),
        figures: figures(lines, |line| &line.figures),
        ratios: figures(lines, |line| &line.ratios),
        note: lines.last().map(|line| line.note.clone()).unwrap_or_default(),
        ..first.clone()
    }
}

fn latency(lines: &[&Line], of: fn(&Line) -> Latency) -> Latency {
    let of = |quantile: fn(Latency) -> Option<Duration>| {
        let seconds = lines.iter().filter_map(|line| quantile(of(line))).map(|value| value.as_secs_f64());
        median(seconds.collect()).map(Duration::from_secs_f64)
    };
    Latency {
        p50: of(|latency| latency.p50),
        p99: of(|latency| latency.p99),
        p999: of(|latency| latency.p999),
    }
}

fn figures(lines: &[&Line], of: fn(&Line) -> &Vec<Figure>) -> Vec<Figure> {
    let Some(first) = lines.first() else { return Vec::new() };
    let of_name = |name: &str| {
        let all = lines.iter().flat_map(|line| of(line));
        all.filter(|figure| figure.name == name).map(|figure| figure.value).collect()
    };
    let median_of = |figure: &Figure| Some(Figure::new(&figure.name, median(of_name(&figure.name))?));
    of(first).iter().filter_map(median_of).collect()
}

/// The middle one; of an even number the upper of the two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(subject: &str, cost: f64) -> Line {
        let figures = vec![Figure::new("x", cost * 2.0)];
        Line { subject: subject.to_owned(), server_cpu: Some(cost), figures, ..Line::default() }
    }

    #[test]
    fn rounds_become_medians_and_ratios_of_the_same_round() {
        let mut all = Vec::new();
        for (own, other) in [(2.0, 1.0), (30.0, 10.0), (4.0, 4.0)] {
            let mut round = [line("hobnob", own), line("router", other)];
            compare(&mut round);
            all.extend(round);
        }
        let medians = medians(&all);
        assert_eq!(medians.len(), 2);
        assert_eq!((medians[0].server_cpu, medians[1].server_cpu), (Some(4.0), Some(4.0)));
        assert_eq!(medians[0].ratios, [Figure::new("router", 2.0)]);
        assert_eq!(medians[0].figures, [Figure::new("x", 8.0)]);
        assert!(medians[1].ratios.is_empty());
    }
}

//! Arithmetic as `$((…))` and `let` work it out.

use super::{Shell, limits, run::Io, syntax::parse_quoted};

impl Shell {
    /// The value of an arithmetic expression; what makes no sense is 0.
    pub(super) fn arithmetic(&mut self, text: &str, io: Io) -> i64 {
        let text = match parse_quoted(text) {
            Ok(word) if self.depth < limits::MAX_DEPTH => {
                self.depth += 1;
                let text = self.expand_one(&word, io);
                self.depth -= 1;
                text
            }
            _ => return 0,
        };
        let tokens = tokens(&text);
        let mut sum = Sum { shell: self, tokens, at: 0, depth: 0 };
        sum.expression(0)
    }
}

fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().take(1024).collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let len = if c.is_whitespace() {
            at += 1;
            continue;
        } else if c.is_ascii_alphanumeric() || c == '_' {
            chars[at..].iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').count()
        } else {
            let two: String = chars[at..].iter().take(2).collect();
            let known =
                ["&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "**", "++", "--", "+=", "-="];
            if known.contains(&two.as_str()) { 2 } else { 1 }
        };
        tokens.push(chars[at..at + len].iter().collect());
        at += len;
    }
    tokens
}

/// A running evaluation of an arithmetic expression by precedence climbing.
struct Sum<'a> {
    shell: &'a mut Shell,
    tokens: Vec<String>,
    at: usize,
    depth: u32,
}

const LEVELS: &[&[&str]] = &[
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<", ">", "<=", ">="],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
    &["**"],
];

impl Sum<'_> {
    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn expression(&mut self, level: usize) -> i64 {
        let Some(operators) = LEVELS.get(level) else { return self.operand() };
        let mut left = self.expression(level + 1);
        while operators.contains(&self.peek()) {
            let operator = self.peek().to_owned();
            self.at += 1;
            let right = self.expression(level + 1);
            left = apply(&operator, left, right);
        }
        left
    }

    fn operand(&mut self) -> i64 {
        self.depth += 1;
        if self.depth > limits::MAX_DEPTH {
            self.at = self.tokens.len();
            return 0;
        }
        let token = self.peek().to_owned();
        self.at += 1;
        let value = match token.as_str() {
            "(" => {
                let value = self.expression(0);
                self.at += 1;
                value
            }
            "-" => self.operand().wrapping_neg(),
            "+" => self.operand(),
            "!" => i64::from(self.operand() == 0),
            "~" => !self.operand(),
            "++" | "--" => {
                let name = self.peek().to_owned();
                self.at += 1;
                let step = if token == "++" { 1 } else { -1 };
                let value = self.named(&name).wrapping_add(step);
                self.shell.set(&name, value.to_string());
                value
            }
            token if token.starts_with(|c: char| c.is_ascii_digit()) => number(token),
            "" => 0,
            name => {
                let name = name.to_owned();
                self.variable(&name)
            }
        };
        self.depth -= 1;
        value
    }

    fn named(&mut self, name: &str) -> i64 {
        self.shell.value(name).map_or(0, |value| number(value.trim()))
    }

    fn variable(&mut self, name: &str) -> i64 {
        let value = self.named(name);
        let operator = self.peek().to_owned();
        let (new, result) = match operator.as_str() {
            "=" => {
                self.at += 1;
                let right = self.expression(0);
                (right, right)
            }
            "+=" | "-=" => {
                self.at += 1;
                let right = self.expression(0);
                let new = apply(&operator[..1], value, right);
                (new, new)
            }
            "++" | "--" => {
                self.at += 1;
                (value.wrapping_add(if operator == "++" { 1 } else { -1 }), value)
            }
            _ => return value,
        };
        self.shell.set(name, new.to_string());
        result
    }
}

fn number(text: &str) -> i64 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let value = if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    value.unwrap_or(0).wrapping_mul(sign)
}

fn apply(operator: &str, left: i64, right: i64) -> i64 {
    match operator {
        "||" => i64::from(left != 0 || right != 0),
        "&&" => i64::from(left != 0 && right != 0),
        "|" => left | right,
        "^" => left ^ right,
        "&" => left & right,
        "==" => i64::from(left == right),
        "!=" => i64::from(left != right),
        "<" => i64::from(left < right),
        ">" => i64::from(left > right),
        "<=" => i64::from(left <= right),
        ">=" => i64::from(left >= right),
        "<<" => left.wrapping_shl(right as u32),
        ">>" => left.wrapping_shr(right as u32),
        "+" => left.wrapping_add(right),
        "-" => left.wrapping_sub(right),
        "*" => left.wrapping_mul(right),
        "/" => left.checked_div(right).unwrap_or(0),
        "%" => left.checked_rem(right).unwrap_or(0),
        "**" => left.wrapping_pow(right.clamp(0, 64) as u32),
        _ => 0,
    }
}

//! What a trace says, in English and Chinese. Words of protocols stay as everybody knows them.

use crate::Lang;

/// Words of the screen.
pub struct Words {
    pub private: &'static str,
    pub means: &'static str,
    pub comparison: &'static str,
    pub proved: &'static str,
    pub records: &'static str,
    pub not_proved: &'static str,
    pub not_asked: &'static str,
    pub nobody: &'static str,
    pub reused: &'static str,
    pub logs_in: &'static str,
    pub through: &'static str,
    pub answered: &'static str,
    pub connected: &'static str,
    pub silent: &'static str,
    pub first_byte: &'static str,
    pub not_whole: &'static str,
    pub failed_at: &'static str,
    pub redirects: &'static str,
    pub vcs: &'static str,
    pub fetched: &'static str,
    pub route: &'static str,
    pub unavailable: &'static str,
    pub silent_end: &'static str,
    pub complete: &'static str,
    pub failed: &'static str,
    pub unknown: &'static str,
    pub more_time: &'static str,
    pub took: &'static str,
    pub further: &'static str,
}

const EN: Words = Words {
    private: "private (GONOPROXY): no proxy is asked",
    means: "means",
    comparison: " (for comparison)",
    proved: "proved in a tree of",
    records: "records",
    not_proved: "NOT PROVED",
    not_asked: "not asked for a proof",
    nobody: "nobody is left to ask (off, or the list ends)",
    reused: "connection of before",
    logs_in: "logs in as",
    through: "through",
    answered: "answered",
    connected: "connected",
    silent: "no answer yet when another address answered",
    first_byte: "first byte",
    not_whole: "not to its end",
    failed_at: "FAILED at",
    redirects: "redirects to",
    vcs: "version control",
    fetched: "fetched",
    route: "route to",
    unavailable: "not available",
    silent_end: "the address itself does not answer such packets (many do not)",
    complete: "complete",
    failed: "FAILED",
    unknown: "not known: it was not come to the end",
    more_time: "--timeout gives more time",
    took: " in ",
    further: "modkeep doctor asks further, others too",
};

const ZH: Words = Words {
    private: "私有模块（GONOPROXY）：不询问任何代理",
    means: "即",
    comparison: "（仅作比较）",
    proved: "已证明，树中记录数",
    records: "",
    not_proved: "未能证明",
    not_asked: "没有要求证明",
    nobody: "再没有可以询问的（off，或列表到头）",
    reused: "沿用之前的连接",
    logs_in: "登录身份",
    through: "经由",
    answered: "应答",
    connected: "已连上",
    silent: "另一地址应答时它还没有应答",
    first_byte: "首字节",
    not_whole: "没有到结尾",
    failed_at: "失败于",
    redirects: "重定向到",
    vcs: "版本控制",
    fetched: "已取得",
    route: "路由到",
    unavailable: "不可用",
    silent_end: "该地址本身不应答这种报文（很多都不）",
    complete: "完成",
    failed: "失败",
    unknown: "未知：没有走到结尾",
    more_time: "用 --timeout 给更多时间",
    took: "，用时 ",
    further: "modkeep doctor 会进一步询问，也会问别人",
};

/// The words of a language.
pub fn words(lang: Lang) -> &'static Words {
    match lang {
        Lang::En => &EN,
        Lang::Zh => &ZH,
    }
}

/// What the go command does after a try that brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// "Not found" leads on.
    AbsentLeadsOn,
    /// A bar leads on.
    BarLeadsOn,
    /// The origin is the last one.
    OriginEnds,
    /// The list ends.
    ListEnds,
    /// A comma stops at an error.
    CommaStops,
}

impl Fallback {
    /// In words.
    pub fn text(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (Self::AbsentLeadsOn, Lang::En) => "goes on: \"not found\" passes a comma and a bar",
            (Self::BarLeadsOn, Lang::En) => "goes on: a bar passes any error",
            (Self::OriginEnds, Lang::En) => "the end: behind the origin there is nobody",
            (Self::ListEnds, Lang::En) => "the end: nobody is left to ask",
            (Self::CommaStops, Lang::En) => "stops here: a comma passes only 404 and 410",
            (Self::AbsentLeadsOn, Lang::Zh) => "继续：“没有找到”可越过逗号和竖线",
            (Self::BarLeadsOn, Lang::Zh) => "继续：竖线越过任何错误",
            (Self::OriginEnds, Lang::Zh) => "到此为止：源站之后再没有别的",
            (Self::ListEnds, Lang::Zh) => "到此为止：再没有可以询问的",
            (Self::CommaStops, Lang::Zh) => "停在这里：逗号只越过 404 和 410",
        }
    }
}

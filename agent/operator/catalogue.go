package operator

import (
	"fmt"

	"posagent/agent/payment"
)

// entry is one text in both languages. Hint is what to do next on a screen of
// that name.
type entry struct{ zh, en, hintZH, hintEN string }

// texts is the catalogue of screens and remarks. Entries without hints are
// parts of a screen (titles of menu lines, remarks), those with hints are
// screens of their own.
var texts = map[string]entry{
	"idle":     {"欢迎使用", "Ready", "按 1 开始消费", "Press 1 to sell"},
	"sale":     {"消费", "SALE", "", ""},
	"query":    {"查询末笔", "LAST", "", ""},
	"language": {"English", "中文", "", ""},
	"last":     {"末笔交易", "Last transaction", "确认键重打印,取消键返回", "Enter prints again, Cancel goes back"},

	"last_none":        {"本机还没有交易", "No transaction yet", "", ""},
	"amount_too_large": {"单笔不得超过 %s,按清除键", "At most %s: press Clear", "", ""},
	"amount_zero":      {"请先输入金额", "Type an amount first", "", ""},

	"no_config":  {"等待配置下发", "Waiting for configuration", "", ""},
	"no_feature": {"本商户未开通消费", "Sales are not enabled here", "", ""},

	"state_pending":   {"处理中", "In progress", "", ""},
	"state_approved":  {"成功", "Approved", "", ""},
	"state_declined":  {"被拒绝", "Declined", "", ""},
	"state_not_sent":  {"未发送,未扣款", "Not sent, no charge", "", ""},
	"state_reversing": {"冲正中", "Being reversed", "", ""},
	"state_reversed":  {"已冲正,未扣款", "Reversed, no charge", "", ""},

	"insert_card":  {"请插入芯片卡", "Insert card", "插卡,或按取消键", "Insert the card or press Cancel"},
	"reading_card": {"正在读卡", "Reading card", "请勿拔卡", "Leave the card in"},
	"pin":          {"请输入密码", "Enter PIN", "输完按确认键", "Then press Enter"},
	"pin_wrong":    {"密码错误,请重新输入", "Wrong PIN, enter it again", "", ""},
	"pin_last":     {"最后一次机会", "Last try", "", ""},
	"choose":       {"请选择应用", "Choose application", "按数字键选择", "Press its number"},
	"host":         {"正在联机处理", "Contacting the bank", "请稍候", "Please wait"},
	"completing":   {"正在确认交易", "Completing", "请稍候", "Please wait"},
	"reversing":    {"正在冲正", "Reversing", "请稍候", "Please wait"},
	"printing":     {"正在打印", "Printing", "请取走单据", "Take the receipt"},
	"or_tap":       {"或挥卡", "or tap it on the reader", "", ""},
	"leave_card":   {"请勿拔卡", "Leave the card in", "", ""},
	"card_read":    {"读卡完成", "Card read", "请移开卡片", "Take the card away"},
	"tap_again":    {"请重新挥卡", "Tap again", "挥卡并停留片刻,或插卡", "Hold the card still on the reader, or insert it"},
	"see_phone":    {"请查看手机", "See your phone", "在手机上验证后再挥一次", "Verify on the phone, then tap again"},
	"one_card":     {"一次只能用一张卡", "One card only", "请只拿一张卡靠近", "Hold one card to the reader"},
	"other_card":   {"此卡不能付款", "Not a payment card", "请换卡,或插卡", "Use another card, or insert one"},
	"use_chip":     {"请改为插卡", "Insert the card instead", "插卡,或按取消键", "Insert the card or press Cancel"},
	"remove_card":  {"请取回卡片", "Remove card", "请取走卡片", "Take the card"},

	"approved":         {"交易成功", "Approved", "请取走单据", "Take the receipt"},
	"declined":         {"交易被拒绝", "Declined", "请换卡或联系发卡行", "Use another card or call the issuer"},
	"cancelled":        {"交易已取消", "Cancelled", "可重新开始", "Start again when ready"},
	"no_answer":        {"银行未应答,未扣款或正在冲正", "No answer: no charge, or being reversed", "本笔不收款,稍后再试", "Nothing is owed; try again later"},
	"not_sent":         {"联系不上银行,未扣款", "Bank not reachable: no charge", "检查网络后重试", "Check the network and try again"},
	"card_refused":     {"卡片拒绝,正在冲正", "Card refused: being reversed", "请换卡再试", "Use another card"},
	"card_error":       {"读卡失败,未扣款", "Card not read: no charge", "擦净卡片重插,或换卡", "Wipe and insert again, or use another card"},
	"card_early":       {"卡片过早拔出,未扣款", "Card removed too early: no charge", "重新插卡再试", "Insert again and leave it in"},
	"pin_failed":       {"密码未输入,未扣款", "No PIN: no charge", "重新开始交易", "Start again"},
	"reversal_open":    {"有冲正未完成,暂停收款", "A reversal is open: no new sale", "检查网络,系统会自动重试", "Check the network; it retries by itself"},
	"record_failed":    {"无法保存交易,暂停收款", "Cannot keep records: no new sale", "联系技术员,勿关机", "Call a technician; do not switch off"},
	"not_ready":        {"终端尚不能收款", "Not ready to sell", "查看状态或联系客服", "See the state or call support"},
	"sign_in_failed":   {"签到失败", "Sign-in failed", "检查网络后重试", "Check the network and try again"},
	"print_failed":     {"单据未打出,交易有效", "Receipt not printed, the sale stands", "处理打印机后按 4 重打印", "Mend the printer, then press 4 to print"},
	"busy":             {"终端正忙", "Terminal busy", "稍候再试", "Try again in a moment"},
	"duplicate":        {"请求已处理过", "Request already done", "按原结果处理", "Use the first result"},
	"part_missing":     {"部件不可用", "A part is missing", "联系技术员", "Call a technician"},
	"starting":         {"正在启动", "Starting", "请稍候", "Please wait"},
	"activating":       {"正在激活", "Activating", "请稍候", "Please wait"},
	"activation_needs": {"请输入激活码", "Activation code needed", "由技术员用激活码激活", "A technician activates it with the code"},
}

// Extra hints of screens that Machine builds itself.
var hints = map[string][2]string{
	"idle_hint":      {"按 1 开始消费", "Press 1 to sell"},
	"amount_hint":    {"输入金额,按确认键", "Type the amount, press Enter"},
	"last_hint":      {"确认键重打印,取消键返回", "Enter prints again, Cancel goes back"},
	"back_hint":      {"取消键返回", "Cancel goes back"},
	"not_ready_hint": {"查看状态或联系客服", "See the state or call support"},
}

// Text gives the catalogue's text in a language; args fill its verbs. An unknown
// key gives the key in brackets, so that a missing text is seen and not silent.
func Text(lang Lang, key string, args ...any) string {
	if h, ok := hints[key]; ok {
		return pick(lang, h[0], h[1])
	}
	e, ok := texts[key]
	if !ok {
		return "[" + key + "]"
	}
	text := pick(lang, e.zh, e.en)
	if len(args) > 0 {
		text = fmt.Sprintf(text, args...)
	}
	return text
}

// Hints gives every hint of the catalogue in a language.
func Hints(lang Lang) []string {
	var all []string
	for key := range texts {
		if h := hint(lang, key); h != "" {
			all = append(all, h)
		}
	}
	for _, h := range hints {
		all = append(all, pick(lang, h[0], h[1]))
	}
	return all
}

func hint(lang Lang, key string) string {
	e := texts[key]
	return pick(lang, e.hintZH, e.hintEN)
}

func pick(lang Lang, zh, en string) string {
	if lang == Chinese {
		return zh
	}
	return en
}

// Decline gives the meaning of a host's response code and what the cashier may
// do next (UnionPay POS profile, field 39). Unknown codes are plain failures.
func Decline(lang Lang, code payment.ResponseCode) string {
	d, ok := declines[code]
	if !ok {
		d = decline{"交易失败", "Failed", next.retryLater}
	}
	return pick(lang, d.zh+","+d.next[0], d.en+": "+d.next[1]) + " (" + string(code) + ")"
}

type decline struct {
	zh, en string
	next   [2]string
}

var next = struct{ otherCard, callIssuer, retry, retryLater, retain, support, pin [2]string }{
	otherCard:  [2]string{"请换卡", "use another card"},
	callIssuer: [2]string{"请持卡人联系发卡行", "cardholder calls the issuer"},
	retry:      [2]string{"请重试", "try again"},
	retryLater: [2]string{"请稍后再试", "try again later"},
	retain:     [2]string{"请留卡并联系收单行", "keep the card, call the acquirer"},
	support:    [2]string{"请联系收单行客服", "call the acquirer's support"},
	pin:        [2]string{"请重新输入密码", "try again with the right PIN"},
}

var declines = map[payment.ResponseCode]decline{
	"01": {"查发卡行", "Refer to issuer", next.callIssuer},
	"03": {"商户未登记", "Invalid merchant", next.support},
	"04": {"没收卡", "Pick up card", next.retain},
	"05": {"持卡人认证失败", "Not honoured", next.callIssuer},
	"12": {"无效交易", "Invalid transaction", next.otherCard},
	"13": {"无效金额", "Invalid amount", next.retry},
	"14": {"无效卡号", "Invalid card number", next.otherCard},
	"15": {"无此发卡行", "No such issuer", next.otherCard},
	"21": {"卡未初始化", "Card not initialised", next.callIssuer},
	"22": {"操作有误或超过期限", "Wrong operation or too late", next.support},
	"25": {"没有原始交易", "No original transaction", next.support},
	"30": {"报文格式错", "Format error", next.retry},
	"34": {"作弊卡", "Suspected fraud", next.retain},
	"38": {"密码错误次数超限", "PIN tries exceeded", next.callIssuer},
	"40": {"发卡行不支持", "Not supported by issuer", next.otherCard},
	"41": {"挂失卡", "Lost card", next.retain},
	"43": {"被窃卡", "Stolen card", next.retain},
	"51": {"余额不足", "Insufficient funds", next.otherCard},
	"54": {"卡已过期", "Expired card", next.otherCard},
	"55": {"密码错误", "Wrong PIN", next.pin},
	"57": {"此卡不允许该交易", "Not allowed for this card", next.otherCard},
	"58": {"终端不允许该交易", "Not allowed at this terminal", next.support},
	"59": {"卡片校验错", "Card check failed", next.otherCard},
	"61": {"超出金额限制", "Amount limit exceeded", next.otherCard},
	"62": {"受限制的卡", "Restricted card", next.callIssuer},
	"64": {"与原交易金额不符", "Differs from original amount", next.support},
	"65": {"超出次数限制", "Count limit exceeded", next.otherCard},
	"68": {"发卡行超时", "Issuer time-out", next.retryLater},
	"75": {"密码错误次数超限", "PIN tries exceeded", next.callIssuer},
	"77": {"批次不符", "Batch mismatch", next.support},
	"90": {"日切处理中", "Day cut-over", next.retryLater},
	"91": {"发卡行状态不正常", "Issuer not available", next.retryLater},
	"92": {"发卡行线路异常", "Issuer line down", next.retryLater},
	"94": {"重复交易", "Duplicate transmission", next.retry},
	"96": {"交换中心异常", "Switch fault", next.retryLater},
	"97": {"终端未登记", "Terminal not registered", next.support},
	"98": {"发卡方超时", "Issuer time-out", next.retryLater},
	"99": {"密码格式错", "PIN format error", next.retry},
	"A0": {"报文校验失败", "MAC failed", next.retry},
}
